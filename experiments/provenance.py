"""Where a result comes from: enough to make it again, and to know changed files of an agent."""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainers.provenance import commit, versions
from vt_env.specs import split_outside


def provenance(seed: int, fingerprint: str | None, argv: list[str] | None = None) -> dict[str, Any]:
    """Command, seed, data, versions, commit and time.

    Args:
        seed: The run's seed.
        fingerprint: Hash of the data, see :meth:`vt_env.sources.Source.fingerprint`; ``None`` if it
            is not known.
        argv: The command line; this process's by default.
    """
    return {
        "command": shlex.join(["vt", *(sys.argv[1:] if argv is None else argv)]),
        "seed": seed,
        "data": fingerprint,
        "commit": commit(),
        "versions": versions(),
        "machine": platform.machine(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


_WHOLE = 1 << 20
"""Bytes up to which a file is read whole; of a larger one so many are read, spread over it."""
_PIECES = 64


def fingerprints(spec: object) -> dict[str, str]:
    """A fingerprint of every file or folder that a spec names, by the path as it stands there.

    It is made of the files' names, sizes and content, and not of their times, so that a copy on
    another machine has the same. Of a file over 1 MiB 64 pieces of 16 KiB are read, evenly spread:
    training changes weights everywhere. A name on the Hub has none.

    Args:
        spec: The spec; of an agent that is an object nothing is known.
    """
    return {value: _fingerprint(path) for value, path in paths_in(spec).items()}


def paths_in(spec: object) -> dict[str, Path]:
    """The files and folders that a spec names after its colon, by how they stand there."""
    if not isinstance(spec, str):
        return {}
    _, _, written = spec.partition(":")
    values = [part.partition("=")[2] or part for part in split_outside(written, ",")]
    paths = {value: Path(value).expanduser() for value in map(str.strip, values) if value}
    return {value: path for value, path in paths.items() if path.exists()}


def _fingerprint(path: Path) -> str:
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
