"""Checkpoints that a crash, a full disk or a broken file cannot take away.

    FOLDER/step-000100/
        manifest.json     step, score, and size and SHA-256 of every other file
        model/ …          whatever the trainer wrote

A checkpoint is written to ``FOLDER/….part``, flushed to the disk, and only then renamed, so a
folder that is named ``step-…`` was complete once. It is read only if every file still has its
hash; else it is set aside as ``broken-step-…`` and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trainers.errors import CheckpointError
from vt_env.errors import ConfigError

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_FORMAT = 1


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


class _Broken(CheckpointError):
    """A checkpoint is not what was written; one of another format is no such thing."""


class CheckpointStore:
    """The checkpoints of one run.

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
        try:
            self._remove_leavings()
            part.mkdir(parents=True)
            write(part)
            _seal(part, step, score)
            part.rename(target)
            _sync(self.folder)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if not isinstance(error, Exception):
                raise
            kept = self._folders()
            left = f"{kept[-1].name} is the newest one" if kept else "there is no earlier one"
            raise CheckpointError(
                f"the checkpoint of step {step} cannot be written to {self.folder}: "
                f"{_reason(error)}; {left}. Make room, then resume"
            ) from error
        self._prune()
        return Checkpoint(target, step, score)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; broken ones are reported and set aside."""
        for folder in reversed(self._folders()):
            try:
                return read(folder)
            except _Broken as error:
                aside = folder.with_name(f"broken-{folder.name}")
                shutil.rmtree(aside, ignore_errors=True)
                folder.rename(aside)
                logger.warning("%s; set aside as %s", error, aside.name)
        return None

    def best(self) -> Checkpoint | None:
        """The checkpoint with the highest score, the newest of equals; ``None`` without scores."""
        scored = [c for c in self._manifests() if c.score is not None]
        return max(scored, key=lambda c: (c.score or 0.0, c.step), default=None)

    def _folders(self) -> list[Path]:
        """Folders of checkpoints, oldest first."""
        found = [p for p in self.folder.glob("step-*") if p.name.removeprefix("step-").isdecimal()]
        return sorted(found, key=lambda p: int(p.name.removeprefix("step-")))

    def _manifests(self) -> Iterator[Checkpoint]:
        for folder in self._folders():
            try:
                yield _read_manifest(folder)[0]
            except CheckpointError:
                continue

    def _remove_leavings(self) -> None:
        """What a killed process left behind."""
        for part in self.folder.glob("*.part"):
            shutil.rmtree(part)

    def _prune(self) -> None:
        best = self.best()
        for folder in self._folders()[: -self.keep]:
            if best is None or folder != best.folder:
                shutil.rmtree(folder, ignore_errors=True)


def read(folder: Path) -> Checkpoint:
    """A checkpoint, after a comparison of every file with its hash.

    Raises:
        CheckpointError: If a file is missing or differs, the manifest cannot be read, or it was
            written in another format.
    """
    checkpoint, files = _read_manifest(folder)
    for name, expected in files.items():
        path = folder / name
        try:
            same = path.stat().st_size == expected["bytes"] and _hash(path) == expected["sha256"]
        except OSError as error:
            raise _Broken(f"{folder} is broken: {name}: {error.strerror}") from error
        if not same:
            raise _Broken(f"{folder} is broken: {name} is not what was written")
    return checkpoint


def _read_manifest(folder: Path) -> tuple[Checkpoint, dict[str, dict[str, int | str]]]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        if manifest["format"] != _FORMAT:
            raise CheckpointError(
                f"{folder} has format {manifest['format']}, this version reads {_FORMAT}"
            )
        return Checkpoint(folder, manifest["step"], manifest["score"]), manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _Broken(f"{folder} is broken: its manifest cannot be read") from error


def _seal(folder: Path, step: int, score: float | None) -> None:
    """Write the manifest, and put everything on the disk."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    files = {
        p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": _hash(p)}
        for p in paths
    }
    manifest = {"format": _FORMAT, "step": step, "score": score, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    for path in (*paths, folder / MANIFEST, *(p for p in folder.rglob("*") if p.is_dir()), folder):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or f"{type(error).__name__}: {error}"
