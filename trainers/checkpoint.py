"""Checkpoints that a crash, a full disk or a broken file cannot take away.

    FOLDER/step-000100/
        manifest.json     step, score, and size and SHA-256 of every other file
        model/ …          whatever the trainer wrote

A checkpoint is a sealed folder, see :mod:`trainers.files`: written to ``FOLDER/….part``, flushed to
the disk, and only then renamed, so a folder that is named ``step-…`` was complete once. It is read
only if every file still has its hash; else it is set aside as ``broken-step-…`` and the one before
it is used. Other files and folders in ``FOLDER`` are left alone.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import CheckpointError, Damaged
from trainers.files import (
    PART,
    check_folder,
    discard_folder,
    manifest_of,
    seal_folder,
    size_of,
    sync,
    unused,
)
from vt_env.errors import ConfigError

logger = logging.getLogger(__name__)

_FORMAT = 2
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        folder: Where it is.
        step: Steps done when it was written.
        score: What "best" compares, higher is better; ``None`` if nothing was measured.
    """

    folder: Path
    step: int
    score: float | None = None


class CheckpointStore:
    """The checkpoints of one run.

    Attributes:
        last: The one that :meth:`save` wrote or :meth:`newest` found last.

    Args:
        folder: Where they are; made when the first is saved.
        keep: How many of the newest are kept; the best one is kept besides.

    Raises:
        ConfigError: If ``keep`` is below 1.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ConfigError(f"at least one checkpoint must be kept, got keep={keep}")
        self.folder = folder
        self.keep = keep
        self.last: Checkpoint | None = None
        self._each = 0

    def save(
        self, step: int, write: Callable[[Path], None], score: float | None = None
    ) -> Checkpoint:
        """Write a checkpoint, then remove those that are no longer kept.

        Args:
            step: Steps done.
            write: Fills an empty folder.
            score: What "best" compares.

        Raises:
            CheckpointError: If it cannot be written, or there is one of this step. Whatever was
                there before is untouched.
        """
        target = self.folder / f"step-{step:06d}"
        part = self.folder / f"{target.name}.part"
        if target.exists():
            raise CheckpointError(f"there is a checkpoint of step {step} already: {target}")
        check_room(self.folder, self._each, f"files of the checkpoint of step {step}")
        try:
            self._remove_leavings()
            part.mkdir(parents=True)
            write(part)
            seal_folder(part, {"format": _FORMAT, "step": step, "score": score})
            part.rename(target)
            sync(self.folder)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if not isinstance(error, Exception):
                raise
            kept = self._folders()
            reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
            left = f"{kept[-1].name} is the newest one" if kept else "there is no earlier one"
            raise CheckpointError(
                f"the checkpoint of step {step} cannot be written to {self.folder}: "
                f"{reason}; {left}. Make room, then resume"
            ) from error
        self._prune()
        self.last = Checkpoint(target, step, score)
        return self.last

    def check_room(self, each: int) -> None:
        """Refuse to begin a run whose checkpoints the disk has no room for.

        Args:
            each: Bytes of one, which are looked for before each save too. The best is kept beside
                the newest, and one is half written.

        Raises:
            CheckpointError: Saying how much there is.
        """
        self._each = each
        needed = (self.keep + 2) * each - size_of(self.folder)
        check_room(self.folder, needed, "checkpoints of the run")

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; broken ones are reported and set aside."""
        for folder in reversed(self._folders()):
            try:
                self.last = read(folder)
                return self.last
            except Damaged as error:
                aside = unused(folder.with_name(f"broken-{folder.name}"))
                folder.rename(aside)
                logger.warning("%s is broken: %s; set aside as %s", folder, error, aside.name)
        self.last = None
        return None

    def best(self) -> Checkpoint | None:
        """The checkpoint with the highest score, the newest of equals; ``None`` without scores."""
        scored = [c for c in self._manifests() if c.score is not None]
        return max(scored, key=lambda c: (c.score or 0.0, c.step), default=None)

    def _folders(self) -> list[Path]:
        """Folders of checkpoints, oldest first; one that is a link is none."""
        names = [p.name for p in self.folder.glob("step-*") if p.is_dir() and not p.is_symlink()]
        steps = sorted((int(n[1]), n[0]) for name in names if (n := _NAME.fullmatch(name)))
        return [self.folder / name for _, name in steps]

    def _manifests(self) -> Iterator[Checkpoint]:
        for folder in self._folders():
            try:
                yield _of(folder, manifest_of(folder))
            except (CheckpointError, Damaged):
                continue

    def _remove_leavings(self) -> None:
        """What a killed process left behind."""
        for part in self.folder.glob(f"step-*{PART}"):
            if _NAME.fullmatch(part.name.removesuffix(PART)) and not part.is_symlink():
                shutil.rmtree(part)

    def _prune(self) -> None:
        kept = {found.folder for found in (self.best(),) if found}
        whole = [found.folder for found in self._manifests()]
        for folder in whole[: -self.keep]:
            if folder not in kept and (stray := discard_folder(folder)):
                logger.warning("%s is kept, since %s lies in it", folder, stray)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what a disk has no room for.

    Args:
        folder: Where it would be written; it need not exist.
        needed: Bytes.
        what: What would be written.

    Raises:
        CheckpointError: Saying how much there is.
    """
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise CheckpointError(
            f"the {what} need about {needed / 1e9:,.1f} GB in {folder}, and {free / 1e9:,.1f} GB "
            "are free: make room, lower checkpoint.keep, or choose another --out"
        )


def read(folder: Path) -> Checkpoint:
    """A checkpoint, after a comparison of every file with its hash.

    Raises:
        Damaged: If a file is missing or differs, or the manifest is not what was written.
        CheckpointError: If it was written in another format.
    """
    return _of(folder, check_folder(folder))


def _of(folder: Path, manifest: dict[str, Any]) -> Checkpoint:
    if manifest.get("format") != _FORMAT:
        raise CheckpointError(
            f"{folder} has format {manifest.get('format')}, this version reads {_FORMAT}"
        )
    return Checkpoint(folder, manifest["step"], manifest["score"])
