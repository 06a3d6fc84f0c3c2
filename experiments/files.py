"""JSON files: results written whole, rows read line by line, and logs that grow line by line.

A single file that a command writes for the user (``--out FILE``) is never replaced unasked, nor, if
it was not written by that command, at all: see :func:`new_file`. Lines of a :class:`SealedLog` are
on the disk when they were appended, so that nothing is done twice; what a kill, a full disk or a
bad disk left of it is mended when it is opened again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainers.errors import Damaged
from trainers.files import CHECKSUM, PART, is_sealed, opened_line, sealed_line, unused, whole_file
from vt_env import ConfigError, DataError
from vt_env.strict_json import unique_keys


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as indented JSON."""
    with whole_file(path) as stream:
        stream.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} must hold an object, got a {type(found).__name__}")
    return found


def json_line(value: Mapping[str, Any]) -> str:
    """One line of JSONL. Text is written in ASCII, so that lone surrogates survive too."""
    return json.dumps(value, allow_nan=False) + "\n"


def user_line(value: Mapping[str, Any]) -> str:
    """One line of a user's own rows: NaN and infinity are written as they were read."""
    return json.dumps(value) + "\n"


def new_file(
    path: Path,
    command: str,
    overwrite: bool,
    ours: Callable[[Path], bool],
    option: str = "--out",
) -> None:
    """Refuse a file that a command may not write; nothing is changed.

    Args:
        path: The file.
        command: The command, for messages.
        overwrite: Whether it may replace a file that it wrote before.
        ours: Whether a file looks like one that it wrote.
        option: What named it, for messages.
    """
    if path.is_dir():
        raise ConfigError(f"{option} must be a file, but {path} is a folder")
    if os.path.lexists(path):
        if not overwrite:
            raise ConfigError(
                f"{path} is there already; choose another {option} or add --overwrite"
            )
        if path.is_symlink() or not _said_by(path, ours):
            raise ConfigError(f"{path} was not written by vt {command}; choose another {option}")
    part = path.with_name(path.name + PART)
    if os.path.lexists(part) and not (overwrite and part.is_file() and not part.is_symlink()):
        raise ConfigError(
            f"{part} is there, perhaps what an interrupted vt {command} has left; move it away"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"cannot write {path}: no permission in {folder}")


def check_folders(folders: Iterable[Path]) -> None:
    """Refuse what is no folder, so that it holds no results."""
    for folder in folders:
        if not folder.is_dir():
            found = "that is a file" if folder.exists() else "there is none"
            raise ConfigError(f"expected a folder of results at {folder}, and {found}")


def _said_by(path: Path, ours: Callable[[Path], bool]) -> bool:
    try:
        return ours(path)
    except (OSError, ValueError, AttributeError, RecursionError, DataError):
        return False


def json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, each with its line's number from 1; blank lines are passed over.

    Checksums, where lines have them, are compared and left out.
    """
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if not line.strip():
                    continue
                where = f"{file}, line {number}"
                if is_sealed(line):
                    yield number, _opened(line, where)
                else:
                    yield number, json_row(line, where)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error


def _opened(line: bytes, where: str) -> dict[str, Any]:
    try:
        return opened_line(line, where)
    except DataError as error:
        raise type(error)(
            f"{error}; of a row that was changed on purpose, leave {CHECKSUM} out"
        ) from None


def json_row(line: str | bytes, where: str) -> dict[str, Any]:
    """One object."""
    try:
        text = line.decode() if isinstance(line, bytes) else line
        row = json.loads(text, object_pairs_hook=unique_keys)
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: it is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected one JSON object a line: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, got a {type(row).__name__}")
    return row


@dataclass(frozen=True, slots=True)
class Mended:
    """What was left of a file.

    Attributes:
        kept: Lines that stay.
        lost: Whole lines that were left out.
        torn: Whether the last line had broken off.
        aside: Where the file as it was is kept, if a whole line was damaged.
    """

    kept: int = 0
    lost: int = 0
    torn: bool = False
    aside: Path | None = None


class SealedLog:
    """Objects of JSON, a sealed line each.

    Args:
        path: The file, which need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Iterable[Mapping[str, Any]], *, sync: bool = True) -> None:
        """Add rows; what was written whole before an error stays.

        Args:
            rows: The rows.
            sync: Whether to wait until they are on the disk.
        """
        left = memoryview("".join(map(sealed_line, rows)).encode())
        with self.path.open("ab", buffering=0) as stream:
            while left:
                left = left[stream.write(left) :]
            if sync:
                os.fsync(stream.fileno())

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows in order; a last line that broke off is left out."""
        try:
            with self.path.open("rb") as stream:
                for number, line in enumerate(stream, 1):
                    if line.endswith(b"\n"):
                        yield opened_line(line, f"{self.path}, line {number}")
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}") from error

    def mend(self, *, in_order: bool) -> Mended:
        """Leave out damaged lines, and a last one that has no end.

        Args:
            in_order: Whether a line means nothing without those before it: then all from the first
                damaged one on goes.

        """
        if not self.path.exists():
            return Mended()
        kept = lost = end = 0
        torn = False
        for line, good in self._lines(in_order):
            torn = not line.endswith(b"\n")
            kept += good
            lost += not good and not torn
            end += len(line) if good else 0
        if not lost:
            os.truncate(self.path, end)
            return Mended(kept, 0, torn)
        aside = unused(self.path.with_name(f"damaged-{self.path.name}"))
        shutil.copyfile(self.path, aside)
        if in_order:
            os.truncate(self.path, end)  # in place: the file may be locked
            return Mended(kept, lost, torn, aside)
        part = self.path.with_name(self.path.name + PART)
        with part.open("wb") as stream:
            stream.writelines(line for line, good in self._lines(in_order) if good)
        part.replace(self.path)
        return Mended(kept, lost, torn, aside)

    def _lines(self, in_order: bool) -> Iterator[tuple[bytes, bool]]:
        """The lines, and whether each stays."""
        whole = True
        with self.path.open("rb") as stream:
            for line in stream:
                good = line.endswith(b"\n") and _is_good(line) and (whole or not in_order)
                whole = whole and good
                yield line, good


def _is_good(line: bytes) -> bool:
    try:
        opened_line(line, "")
    except Damaged:
        return False
    return True
