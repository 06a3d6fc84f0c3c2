"""Writing results so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vt_env import ConfigError, DataError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Write a text file that appears only when it is complete."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as stream:
        yield stream
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as indented JSON.

    Raises:
        ValueError: If a number is not finite: JSON has no NaN.
    """
    with whole_file(path) as stream:
        stream.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def json_line(value: Mapping[str, Any]) -> str:
    """One line of JSONL. Text is written in ASCII, so that lone surrogates survive too."""
    return json.dumps(value, allow_nan=False) + "\n"


def results_folder(path: Path, overwrite: bool) -> Path:
    """A folder for results, made if need be.

    Raises:
        ConfigError: If it is not a folder, or holds results and may not be overwritten.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"--out must be a folder, but {path} is a file")
    if (path / "result.json").exists() and not overwrite:
        raise ConfigError(f"{path} holds results already; choose another --out or add --overwrite")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {path}: {error.strerror}") from error
    return path


def json_rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, each with its line's number from 1; blank lines are passed over.

    Raises:
        DataError: If it cannot be read, or a line is not one JSON object, with its line.
    """
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, json_row(line, f"{file}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"cannot read {file}: {reason}") from error


def json_row(line: str, where: str) -> dict[str, Any]:
    """One object.

    Raises:
        DataError: If it is none; the message begins with ``where``.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: expected one JSON object a line: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected a JSON object, got a {type(row).__name__}")
    return row
