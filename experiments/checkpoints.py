"""Whether the files that an agent plays with are still those of before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from vt_env.judges.registry import split_outside

_WHOLE = 1 << 20
"""Bytes up to which a file is read whole; of a larger one so many are read, spread over it."""
_PIECES = 64


def fingerprints(spec: object) -> dict[str, str]:
    """A print of every file or folder that an agent's spec names, by the path as it stands there.

    It is made of the files' names, sizes and content, and not of their times, so that a copy on
    another machine has the same. Of a file over 1 MiB 64 pieces of 16 KiB are read, evenly spread:
    training changes weights everywhere. A name on the Hub has none.

    Args:
        spec: The spec; of an agent that is an object nothing is known.
    """
    if not isinstance(spec, str):
        return {}
    _, _, written = spec.partition(":")
    values = [part.partition("=")[2] or part for part in split_outside(written, ",")]
    paths = {value: Path(value).expanduser() for value in map(str.strip, values) if value}
    return {value: _print(path) for value, path in paths.items() if path.exists()}


def _print(path: Path) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(_files(path)):
        digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
        for piece in _read(file):
            digest.update(piece)
    return digest.hexdigest()[:16]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """The file itself, or the files of a folder: what stands in folders within is not loaded."""
    if path.is_file():
        yield path.name, path
        return
    yield from ((file.name, file) for file in path.iterdir() if file.is_file())


def _read(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        if size <= _WHOLE:
            yield stream.read()
            return
        piece = _WHOLE // _PIECES
        for number in range(_PIECES):
            stream.seek((size - piece) * number // (_PIECES - 1))
            yield stream.read(piece)
