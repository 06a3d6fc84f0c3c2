"""A run of verl, in whose folder there is more than :mod:`trainers.hosted.run` lists.

OUT/verl/
told-000000.jsonl what verl tells of each step; after a resume from step 6, told-000006.jsonl
checkpoints/      what verl saves
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trainers.hosted.run import Run as HostedRun

FOLDER = "verl"


@dataclass(frozen=True)
class Run(HostedRun):
    """One run, as all its processes see it; see :class:`trainers.hosted.run.Run`."""

    NAME: ClassVar[str] = FOLDER

    @property
    def checkpoints(self) -> Path:
        """Where verl saves."""
        return self.folder / "checkpoints"

    @property
    def told(self) -> Path:
        """Where verl tells of the steps after those that it saved; it begins the file anew."""
        return self.folder / f"told-{self.saved_steps():06d}.jsonl"

    def steps_told(self, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Steps and what verl told of them, those that a resume played again left out.

        Args:
            after: Steps that are known already.
        """
        files = sorted(self.folder.glob("told-*.jsonl"))
        ends = [int(file.stem.removeprefix("told-")) for file in files[1:]]
        for file, end in zip(files, [*ends, math.inf], strict=False):  # there may be no file yet
            for line in file.read_bytes().split(b"\n")[:-1]:  # the last may be half written
                row = json.loads(line)
                if after < row["step"] <= end:
                    yield row["step"], row["data"]

    def saved_steps(self) -> int:
        """Steps done when verl saved last; 0 if it never did."""
        latest = self.checkpoints / "latest_checkpointed_iteration.txt"
        return int(latest.read_text("utf-8")) if latest.is_file() else 0
