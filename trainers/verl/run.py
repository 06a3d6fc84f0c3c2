"""A run of verl; what is in its folder is listed at :mod:`trainers.hosted.run`.

``checkpoints/`` beside it is verl's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

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

    def saved_steps(self) -> int:
        """Steps done when verl saved last; 0 if it never did."""
        latest = self.checkpoints / "latest_checkpointed_iteration.txt"
        return int(latest.read_text("utf-8")) if latest.is_file() else 0
