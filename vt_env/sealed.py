"""Files that appear only when they are whole, and say so when a bit of them has changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from vt_env.errors import Damaged

PART = ".part"
CHECKSUM = "vt_crc32"
"""The last key of a sealed line."""

_KEY = f'"{CHECKSUM}": "'.encode()
_LINE = re.compile(rb'(.*?)(?:, )?"vt_crc32": "([0-9a-f]{8})"\}')
_HASH = re.compile(r'(.*"sha256": ")([0-9a-f]{64})("\n}\n)', re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Generator[TextIO]:
    """Write a text file that appears only when it is complete."""
    part = path.with_name(path.name + PART)
    try:
        with part.open("w", encoding="utf-8") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sealed_json(value: Mapping[str, Any]) -> str:
    """An object as indented JSON with its own hash.

    Raises:
        ValueError: If a number is not finite.
    """
    blank = json.dumps({**value, "sha256": ""}, indent=2, allow_nan=False)
    digest = hashlib.sha256(blank.encode()).hexdigest()
    return f'{blank.removesuffix(chr(34) + chr(10) + "}")}{digest}"\n}}\n'


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a sealed object, whole or not at all."""
    with whole_file(path) as stream:
        stream.write(sealed_json(value))


def read_sealed(path: Path) -> dict[str, Any]:
    """The object of a sealed file.

    Raises:
        Damaged: If it is not what was written, or cannot be read.
        FileNotFoundError: If there is none.
    """
    try:
        found = _HASH.fullmatch(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except UnicodeDecodeError:
        found = None
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    blank = f'{found[1]}"\n}}' if found else ""
    if not found or hashlib.sha256(blank.encode()).hexdigest() != found[2]:
        raise Damaged(f"{path} is not what was written")
    value = json.loads(blank)
    del value["sha256"]
    return value


def write_sealed_bytes(path: Path, data: bytes) -> None:
    """Write bytes below a line with their hash, whole or not at all."""
    with whole_file(path) as stream:
        stream.buffer.write(f"{hashlib.sha256(data).hexdigest()}\n".encode())
        stream.buffer.write(data)


def read_sealed_bytes(path: Path) -> bytes:
    """The bytes of a file that :func:`write_sealed_bytes` wrote.

    Raises:
        Damaged: If they are not what was written, or cannot be read.
        FileNotFoundError: If there is no such file.
    """
    try:
        digest, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise Damaged(f"{path} is not what was written")
    return data


def sealed_line(row: Mapping[str, Any]) -> str:
    """One line of JSONL with its checksum.

    Text is written in ASCII, so that lone surrogates survive too.

    Raises:
        ValueError: If a number is not finite: JSON has no NaN.
    """
    text = json.dumps(row, allow_nan=False)
    comma = ", " if len(text) > 2 else ""
    return f'{text[:-1]}{comma}"{CHECKSUM}": "{zlib.crc32(text.encode()):08x}"}}\n'


def is_sealed(line: bytes) -> bool:
    """Whether a line has a checksum, right or wrong, even if a byte of its key has changed."""
    key = line.rstrip(b"\n")[-len(_KEY) - 10 : -10]
    return len(key) == len(_KEY) and sum(a != b for a, b in zip(key, _KEY, strict=True)) <= 1


def opened_line(line: bytes, where: str) -> dict[str, Any]:
    """The row of a sealed line.

    Raises:
        Damaged: If it is not what was written; the message begins with ``where``.
    """
    found = _LINE.fullmatch(line.rstrip(b"\n"))
    text = found[1] + b"}" if found else b""
    if not found or f"{zlib.crc32(text):08x}".encode() != found[2]:
        raise Damaged(f"{where}: it is not what was written")
    return json.loads(text)
