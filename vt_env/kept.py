"""What can be found out again, kept between starts: digests of files, and what was found in them.

It lies in the folder ``VT_CACHE``, by default ``visionthink-gym`` in the user's cache. Any of its
files may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from vt_env.errors import Damaged
from vt_env.samples import PictureLike
from vt_env.sealed import read_sealed, write_sealed

logger = logging.getLogger(__name__)

_SETTLED = 2.0
"""Seconds after which another write changes a file's time, whatever the file system."""


def cache_folder() -> Path:
    """Where it is kept: ``VT_CACHE``, a folder of the user's, or of a user who has none."""
    if named := os.environ.get("VT_CACHE"):
        return Path(named)
    if not (user := os.environ.get("XDG_CACHE_HOME")):
        try:
            user = Path.home() / ".cache"
        except RuntimeError:  # a user that the system does not know, as in containers
            user = Path(tempfile.gettempdir())
    return Path(user) / "visionthink-gym"


def hash_of(value: Any) -> str:
    """SHA-256 (64 hexadecimal digits) of a value: JSON, and objects by their attributes."""
    made = json.dumps(value, sort_keys=True, default=_attributes)
    return hashlib.sha256(made.encode()).hexdigest()


def _attributes(value: Any) -> Any:
    """What stands for an object; its text, where its class has one."""
    kind = cast("type[object]", type(value))
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    if is_dataclass(value):
        return [kind.__qualname__, {f.name: getattr(value, f.name) for f in fields(value)}]
    if kind.__repr__ is object.__repr__:  # which has an address
        return [kind.__qualname__, getattr(value, "__dict__", {})]
    return str(value)


class Kept(dict[str, Any]):
    """JSON values by name, read from one sealed file.

    A file that cannot be read or written is told, and nothing else depends on it.

    Args:
        kind: What is kept, the beginning of the file's name.
        key: All that it depends on, see :func:`hash_of`.

    Attributes:
        path: The file.
    """

    def __init__(self, kind: str, key: Any) -> None:
        super().__init__()
        self.path = cache_folder() / f"{kind}-{hash_of(key)[:32]}.json"
        self._changed = False
        try:
            self.update(read_sealed(self.path)["kept"])
        except FileNotFoundError:
            pass
        except (OSError, Damaged, KeyError, TypeError, ValueError) as error:
            logger.warning("%s cannot be read, and is made anew: %s", self.path, error)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._changed = True

    def write(self) -> None:
        """Keep it, if there is anything new."""
        if not self._changed:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            own = self.path.with_suffix(f".{os.getpid()}")  # others may write at the same time
            write_sealed(own, {"kept": dict(self)})
            own.replace(self.path)
            self._changed = False
        except OSError as error:
            logger.warning("%s cannot be written, so it is made again: %s", self.path, error)


def state_of(path: Path) -> str | None:
    """Size, time and inode of a file, which are others once it was written again.

    ``None``: it was written this moment, and another write might leave them as they are.

    Raises:
        OSError: If there is no such file.
    """
    found = path.stat()
    settled = time.time() - found.st_mtime > _SETTLED
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}" if settled else None


def states_of(paths: Sequence[Path]) -> list[tuple[str, str]] | None:
    """Files, each with its :func:`state_of`; ``None`` if there are none, or one is too new."""
    found = [(str(path.absolute()), state_of(path)) for path in paths]
    known = [(path, state) for path, state in found if state is not None]
    return known if known and len(known) == len(found) else None


class Digests:
    """SHA-256 of pictures, without decoding them.

    A file is read again only where :func:`state_of` says that it may be another; a bit that turns
    on the disk, without a write, is not noticed.

    Attributes:
        files: Of the files so far.
    """

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}
        self._kept: Kept | None = None

    def of(self, picture: PictureLike) -> bytes:
        """32 bytes: of a picture's encoded bytes, or of its shape and pixels where it is an array.

        Raises:
            OSError: If a file cannot be read.
        """
        if isinstance(picture, np.ndarray):
            shape = "x".join(map(str, picture.shape))
            return hashlib.sha256(shape.encode() + picture.tobytes()).digest()
        if isinstance(picture, bytes):
            return hashlib.sha256(picture).digest()
        if picture not in self.files:
            self.files[picture] = self._of_file(picture.absolute())
        return self.files[picture]

    def _of_file(self, path: Path) -> bytes:
        if self._kept is None:  # one file of the cache, by the folder of the first
            self._kept = Kept("digests", str(path.parent))
        state, name = state_of(path), str(path)
        known, _, digest = self._kept.get(name, "").rpartition(" ")
        if state is not None and known == state:
            return bytes.fromhex(digest)
        with path.open("rb") as stream:
            made = hashlib.file_digest(stream, "sha256").digest()
        if state is not None:
            self._kept[name] = f"{state} {made.hex()}"
        return made

    def write(self) -> None:
        """Keep them."""
        if self._kept is not None:
            self._kept.write()
