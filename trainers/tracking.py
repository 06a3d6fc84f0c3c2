"""The log of a run: JSON lines are the truth, everything else is a view of them.

``metrics.jsonl`` has one line a step, ``{"step": 7, "train/loss": 0.12, …}``, with names in
families:

=========  =================================================================
train/     loss, entropy, KL, gradient norm, learning rate
rollout/   what the policy did: requests, turns, tokens, probes
reward/    the reward and its terms
env/       what the environment said: accuracy, format, visual tokens
eval/      the same measured greedily on the validation split, where it was
time/      seconds; the only numbers that differ between equal runs
=========  =================================================================

``episodes.jsonl`` has a few episodes of each evaluation as text. Each line ends with a checksum,
``vt_crc32``.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agents import Episode
from trainers.errors import Damaged, TrainingError
from trainers.files import PART, opened_line, sealed_line, sync, unused

logger = logging.getLogger(__name__)

FAMILIES = ("train", "rollout", "reward", "env", "judge", "eval", "before", "time")
LOG = "metrics.jsonl"
EPISODES = "episodes.jsonl"
_LAST = 1 << 16
"""Bytes at the end of a log in which its last line is."""

Metrics = Mapping[str, float | None]


class View(Protocol):
    """Something that shows a run while it goes on. It may fail; the run goes on without it."""

    def log(self, step: int, metrics: Metrics) -> None:
        """Show a step."""
        ...

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        """Show some episodes with their pictures."""
        ...

    def finish(self, model: Path | None) -> None:
        """Show the final model, if there is one, and close."""
        ...


class JsonLines:
    """A file of JSON objects, one a sealed line and a step, to which lines are added.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            TrainingError: If it cannot be written, as on a full disk.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(sealed_line(row))
        except OSError as error:
            raise TrainingError(f"cannot write to {self.path}: {error.strerror}") from error

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        if self.path.exists():
            sync(self.path)

    def rows(self) -> Iterator[dict[str, Any]]:
        """All lines; an unfinished last one is left out.

        Raises:
            Damaged: If one is not what was written.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.endswith(b"\n"):
                    yield opened_line(line, f"{self.path}, line {number}")

    def more(self) -> Iterator[dict[str, Any]]:
        """The lines since the last call, or since :meth:`keep_until`; of a file that grows."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self._read)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                yield opened_line(line, str(self.path))

    def last_step(self) -> int:
        """The step of the last whole line; 0 without any."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.path.stat().st_size - _LAST))
            lines = [line for line in stream if line.endswith(b"\n")]
        return opened_line(lines[-1], str(self.path))["step"] if lines else 0

    def keep_until(self, step: int) -> tuple[int, int]:
        """Cut off what was written after a step, and an unfinished last line.

        A line before that which is damaged is left out; the file as it was is kept beside it.

        Returns:
            The last step that is left, 0 if there is none; and how many lines were damaged.
        """
        if not self.path.exists():
            return 0, 0
        kept: list[bytes] = []
        damaged: list[int] = []
        last = 0
        lines = self.path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            if not line.endswith(b"\n"):
                break
            try:
                at = opened_line(line, "")["step"]
            except Damaged:
                damaged.append(number)
                continue
            if at > step:
                break
            kept.append(line)
            last = at
        if damaged:
            self._set_aside(damaged, kept)
        else:
            os.truncate(self.path, sum(map(len, kept)))
        self._read = self.path.stat().st_size
        return last, len(damaged)

    def _set_aside(self, damaged: Sequence[int], kept: Sequence[bytes]) -> None:
        aside = unused(self.path.with_name(f"damaged-{self.path.name}"))
        shutil.copyfile(self.path, aside)
        part = self.path.with_name(self.path.name + PART)
        part.write_bytes(b"".join(kept))
        part.replace(self.path)
        logger.warning(
            "%s: line %s is damaged and left out; the file as it was is %s",
            self.path, ", ".join(map(str, damaged)), aside.name,
        )  # fmt: skip


class Tracker:
    """Writes the log, and shows it where a view was asked for.

    Args:
        out: The run's folder.
        step: Steps done before; 0 for a new run. What the log says of later ones is cut off, so
            that a resumed log equals an undisturbed one.

    Raises:
        TrainingError: If the log lacks steps that were done.
    """

    def __init__(self, out: Path, step: int = 0) -> None:
        self.metrics = JsonLines(out / LOG)
        self.examples = JsonLines(out / EPISODES)
        last, damaged = self.metrics.keep_until(step)
        self.examples.keep_until(step)
        while damaged and last < step:  # nothing is known of these steps any more
            last += 1
            self.metrics.append({"step": last})
        if last != step:
            raise TrainingError(
                f"{self.metrics.path} ends at step {last}, and the checkpoint is of step {step}; "
                "put the whole log back, or begin anew in another folder"
            )
        self.views: list[View] = []

    def show(self, view: View) -> None:
        """Show the run in a view too, from its first step."""
        for row in self.metrics.rows():
            view.log(row.pop("step"), row)
        self.views.append(view)

    def log(self, step: int, metrics: Metrics) -> None:
        """Write a step.

        Args:
            step: Steps done, from 1.
            metrics: By name, ``family/name``. NaN and infinity are written as null: JSON has none.

        Raises:
            ValueError: On a name outside the families.
            TrainingError: If the log cannot be written.
        """
        for name in metrics:
            if name.partition("/")[0] not in FAMILIES or "/" not in name:
                raise ValueError(f"metric {name!r} is in none of the families {FAMILIES}")
        finite = {k: v if v is None or math.isfinite(v) else None for k, v in metrics.items()}
        self.metrics.append({"step": step, **finite})
        for view in self.views:
            view.log(step, finite)

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        """Write some episodes."""
        for episode in episodes:
            self.examples.append({"step": step, **episode_text(episode)})
        for view in self.views:
            view.episodes(step, episodes)

    def sync(self) -> None:
        """Wait until everything is on the disk: before a checkpoint that counts on it."""
        self.metrics.sync()
        self.examples.sync()

    def finish(self, model: Path | None = None) -> None:
        """Close the views; ``model`` is the final one."""
        for view in self.views:
            view.finish(model)


def episode_text(episode: Episode) -> dict[str, Any]:
    """An episode without its pictures and tokens."""
    return {
        "id": episode.sample.id,
        "kind": episode.sample.kind,
        "source": episode.sample.source,
        "question": episode.sample.question,
        "references": list(episode.sample.references),
        "turns": [reply.text for reply in episode.replies],
        "answer": episode.answer,
        "correct": episode.verdict.correct,
        "reason": episode.verdict.reason,
        "requested": episode.outcome.requested,
        "visual_tokens": episode.outcome.visual_tokens,
        "full_tokens": episode.outcome.full_tokens,
        "views": [list(view.size) for view in episode.views],
        "reward": episode.reward.total,
    }
