"""Files that a crash leaves whole or absent, and that say so when a bit of them has changed.

A JSON object is *sealed* by its own SHA-256, a line of JSONL by a CRC-32 (which notices every
single bit), and a folder by a manifest with the SHA-256 of every file in it::

    FOLDER/
        manifest.json   sealed; what the folder is, and size and hash of every other file
        …               whatever was written

A sealed folder is filled as ``FOLDER.part`` and renamed when it is whole. It is deleted or replaced
only if all in it was sealed there; links are never followed for it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vt_env.errors import ConfigError, Damaged
from vt_env.sealed import CHECKSUM as CHECKSUM
from vt_env.sealed import PART as PART
from vt_env.sealed import is_sealed as is_sealed
from vt_env.sealed import opened_line as opened_line
from vt_env.sealed import read_sealed as read_sealed
from vt_env.sealed import sealed_json as sealed_json
from vt_env.sealed import sealed_line as sealed_line
from vt_env.sealed import whole_file as whole_file
from vt_env.sealed import write_sealed as write_sealed

MANIFEST = "manifest.json"


def seal_folder(folder: Path, about: Mapping[str, Any]) -> None:
    """Write a folder's manifest, and put everything on the disk."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    files = {
        p.relative_to(folder).as_posix(): {"bytes": p.stat().st_size, "sha256": _hash(p)}
        for p in paths
    }
    (folder / MANIFEST).write_text(sealed_json({**about, "files": files}), "utf-8")
    for path in (*paths, folder / MANIFEST, *(p for p in folder.rglob("*") if p.is_dir()), folder):
        sync(path)


def manifest_of(folder: Path) -> dict[str, Any]:
    """What a folder's manifest says; the files themselves are not looked at.

    Raises:
        Damaged: If there is none, or it is not what was written.
    """
    try:
        return read_sealed(folder / MANIFEST)
    except FileNotFoundError:
        raise Damaged(f"{folder} has no {MANIFEST}") from None


def check_folder(folder: Path) -> dict[str, Any]:
    """A sealed folder's manifest, after a comparison of every file with its hash.

    Raises:
        Damaged: If a file is missing or differs, or the manifest is not what was written.
    """
    manifest = manifest_of(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        try:
            same = path.stat().st_size == expected["bytes"] and _hash(path) == expected["sha256"]
        except OSError as error:
            raise Damaged(f"{name}: {error.strerror}") from error
        if not same:
            raise Damaged(f"{name} is not what was written")
    return manifest


def strays(folder: Path) -> list[Path]:
    """What lies in a sealed folder and is not of it, links included.

    All that there is, where there is no manifest; nothing, where the manifest is damaged and so
    cannot say.
    """
    if folder.is_symlink():
        return [folder]
    found = [p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir()]
    try:
        ours = {MANIFEST, *manifest_of(folder)["files"]}
    except Damaged:
        return [] if (folder / MANIFEST).is_file() else found
    return [p for p in found if p.is_symlink() or p.relative_to(folder).as_posix() not in ours]


def discard_folder(folder: Path) -> Path | None:
    """Delete a sealed folder, unless something lies in it that was not sealed there.

    It is renamed to ``FOLDER.part`` first: a folder by its own name is whole.

    Returns:
        What lies in it, and keeps it from being deleted; ``None``: it is gone.
    """
    if found := strays(folder):
        return found[0]
    part = folder.with_name(folder.name + PART)
    folder.rename(part)
    shutil.rmtree(part)
    return None


def remove_empty(folder: Path) -> None:
    """Remove a folder and those in it as far as nothing is in them."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for inner in folder.iterdir():
        if inner.is_dir():
            remove_empty(inner)
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def whole_folder(out: Path, kind: str) -> Iterator[Path]:
    """Fill a folder that appears only when it is complete and sealed.

    What a killed process left beside it is deleted first; a whole folder that is there goes when
    the new one is.

    Args:
        out: The folder.
        kind: What it is, for its manifest.

    Raises:
        ConfigError: If something is in ``out`` that was not written so.
    """
    part, old = out.with_name(out.name + PART), out.with_name(f"{out.name}.old")
    if old.is_dir() and not out.exists():
        old.rename(out)  # killed between the two renames below
    check_replaceable(out)
    for left in (part, old):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
    part.mkdir(parents=True)
    try:
        yield part
        seal_folder(part, {"kind": kind})
    except BaseException:
        shutil.rmtree(part)
        raise
    if out.exists():
        out.rename(old)
    part.rename(out)
    if old.exists():
        shutil.rmtree(old)


def check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder with something in it that was not sealed there.

    Raises:
        ConfigError: Naming what it is.
    """
    if (folder.exists() or folder.is_symlink()) and (found := strays(folder)):
        raise ConfigError(
            f"{found[0]} was not written by vt, and lies where {folder} would be replaced; move "
            "it away, or choose another --out"
        )


def unused(path: Path) -> Path:
    """The path, or with a number at its end where there is something already."""
    number, made = 1, path
    while os.path.lexists(made):
        number += 1
        made = path.with_name(f"{path.name}-{number}")
    return made


def linked(source: Path, target: Path) -> None:
    """A folder again, its files shared with the first by hard links where there can be any.

    Nothing is taken from ``source``, and sharing takes no room on the disk.
    """

    def link(from_: str, to: str) -> None:
        try:
            os.link(from_, to)
        except OSError:
            shutil.copyfile(from_, to)  # another file system, or one without links

    shutil.copytree(source, target, copy_function=link)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder, which need not exist; links to one file count once."""
    files = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({(file.st_dev, file.st_ino): file.st_size for file in files}.values())


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
