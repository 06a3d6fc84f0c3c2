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

``episodes.jsonl`` has a few episodes of each evaluation as text.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from agents import Episode
from trainers.errors import TrainingError

FAMILIES = ("train", "rollout", "reward", "env", "judge", "eval", "time")
LOG = "metrics.jsonl"
EPISODES = "episodes.jsonl"

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
    """A file of JSON objects, one a line and a step, to which lines are added.

    Args:
        path: The file; its folder must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line.

        Raises:
            TrainingError: If it cannot be written, as on a full disk.
        """
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row, allow_nan=False) + "\n")
        except OSError as error:
            raise TrainingError(f"cannot write to {self.path}: {error.strerror}") from error

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        if self.path.exists():
            with self.path.open("rb") as stream:
                os.fsync(stream.fileno())

    def rows(self) -> Iterator[dict[str, Any]]:
        """All lines; an unfinished last one is left out."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def keep_until(self, step: int) -> int:
        """Cut off what was written after a step, and an unfinished last line.

        Returns:
            The number of lines that are left.
        """
        if not self.path.exists():
            return 0
        kept = end = 0
        with self.path.open("rb+") as stream:
            for line in stream:
                if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                    break
                kept, end = kept + 1, end + len(line)
            stream.truncate(end)
        return kept


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
        lines = self.metrics.keep_until(step)
        self.examples.keep_until(step)
        if lines != step:
            raise TrainingError(
                f"{self.metrics.path} has {lines} lines for the {step} steps of the checkpoint; "
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


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Keep a second process from writing into a run's folder, which is made if it is not there.

    Raises:
        TrainingError: If one does already.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TrainingError(f"another process is at work in {out}; wait for it") from error
        yield


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
