"""Which files of a local folder are which split of a data set.

The files are found by their names alone. What a folder says of itself, a README with a list of
files or addresses, a script, is not read, so that no folder can make a source fetch something or
read beside the folder.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, cast

from vt_env.errors import DataError

FORMATS = (".parquet", ".arrow", ".jsonl", ".csv", ".tsv", ".json", ".tar")
"""What is read, by the ends of files' names."""

_METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl", "metadata.parquet")
_SHARD = re.compile(r"(.+?)-[0-9]{5}-of-[0-9]{5}(?:-[0-9a-f]+)?")
_SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
}
"""What names of files and folders mean, as ``datasets`` understands them."""

_WORDS = re.compile(r"[^A-Za-z]+")
_SLICE = re.compile(r"([^\[\]]*)\[(-?[0-9]*%?):(-?[0-9]*%?)\]")
_DEPTH = 4
_SAVED = ("dataset_info.json", "dataset_dict.json")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file with rows.

    Attributes:
        path: Where it is.
        subset: The folders between the set's own and its, but for ``data`` and splits.
        split: Which split it belongs to.
    """

    path: Path
    subset: str
    split: str


def files_of(path: Path, subset: str | None, split: str | None) -> list[Path]:
    """The files of one split, all of one format, in order.

    Args:
        path: The folder, or one file.
        subset: A folder in it, where it has several sets.
        split: Which split; may be left out where there is one.

    Raises:
        DataError: If there are none, or it is not clear which are meant.
    """
    if path.is_file():
        if path.suffix.lower() not in FORMATS:
            raise DataError(f"expected a file {', '.join(FORMATS)}, got {path}")
        found = [DataFile(path, "", _split_of(path.stem) or "train")]
    else:
        found = _one_format(path, list(_walk(path, path, 0)))
    if subset is not None:
        named = [file for file in found if subset in (file.subset, file.subset.rpartition("/")[2])]
        if not named:
            known = ", ".join(sorted({file.subset for file in found} - {""})) or "none"
            raise DataError(f"the data set {path} has no subset {subset!r}; its subsets: {known}")
        found = named
    if len(subsets := sorted({file.subset for file in found})) > 1:
        shown = ", ".join(name or "(the folder itself)" for name in subsets)
        raise DataError(f"the data set has the subsets {shown}; name one: subset=…")
    by_split: dict[str, list[Path]] = defaultdict(list)
    for file in found:
        by_split[file.split].append(file.path)
    return sorted(one_split(by_split, split))


def _walk(folder: Path, root: Path, depth: int) -> Iterator[DataFile]:
    """The data files of a folder and those below; hidden and linked folders are passed over."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith((".", "__")):
                continue
            path = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                if depth < _DEPTH:
                    yield from _walk(path, root, depth + 1)
            elif path.suffix.lower() in FORMATS:
                yield _data_file(path, root)


def _data_file(path: Path, root: Path) -> DataFile:
    """A file's split by its own name, else by a folder's; the other folders are its subset."""
    folders = PurePath(path.relative_to(root)).parent.parts
    splits = [_SPLITS.get(part.lower()) for part in folders]
    subset = "/".join(
        part for part, is_split in zip(folders, splits, strict=True)
        if not is_split and part != "data"
    )  # fmt: skip
    split = _split_of(path.stem) or next(filter(None, reversed(splits)), None) or "train"
    return DataFile(path, subset, split)


def _split_of(stem: str) -> str:
    """The split that a file's name tells, or ``""``."""
    if shard := _SHARD.fullmatch(stem):
        return _SPLITS.get(shard[1].lower(), shard[1])
    return next((_SPLITS[w] for w in _WORDS.split(stem.lower()) if w in _SPLITS), "")


def _one_format(root: Path, files: Sequence[DataFile]) -> list[DataFile]:
    """The files that hold the rows.

    Tables beside pictures come first; a ``.json`` is one only where nothing else is.
    """
    if tables := [file for file in files if file.path.name.lower() in _METADATA]:
        return tables
    formats = {file.path.suffix.lower() for file in files}
    if len(formats) > 1:
        formats.discard(".json")
    if len(formats) > 1:
        raise DataError(
            f"{root} has files of several formats: {', '.join(sorted(formats))}; "
            "name a folder or a file with those that are meant"
        )
    if not formats:
        raise DataError(f"{root} is no data set: expected files {', '.join(FORMATS)} in it")
    return [file for file in files if file.path.suffix.lower() in formats]


def one_split(splits: Mapping[str, Any], split: str | None) -> Any:
    """One of several splits, by its name without a slice.

    Raises:
        DataError: If it is unknown, or none is named and there are several.
    """
    if split is None and len(splits) == 1:
        return next(iter(splits.values()))
    if split is None or split not in splits:
        asked = "name one of them: split=…" if split is None else f"asked for {split!r}"
        raise DataError(f"the data set has the splits {', '.join(splits) or 'none'}; {asked}")
    return splits[split]


def sliced(split: str | None) -> tuple[str | None, tuple[str, str] | None]:
    """A split's name, and the ends of its slice: ``train[:10]``, ``test[50%:]``.

    Raises:
        DataError: If the slice cannot be read.
    """
    if split is None or "[" not in split:
        return split, None
    match = _SLICE.fullmatch(split)
    if match is None:
        raise DataError(f"expected a split as in train[:100] or test[10%:20%], got {split!r}")
    return match[1] or None, (match[2], match[3])


def numbers_of(ends: tuple[str, str], size: int) -> range:
    """The rows of a slice; percentages are rounded to the nearest row."""

    def place(text: str) -> int | None:
        if not text.rstrip("%"):
            return None
        return round(size * int(text[:-1]) / 100) if text.endswith("%") else int(text)

    return range(size)[slice(*map(place, ends))]


def is_saved(folder: Path) -> bool:
    """Whether ``datasets.save_to_disk`` made a folder."""
    return any((folder / name).is_file() for name in _SAVED)


def saved_split(folder: Path, split: str | None) -> Path:
    """The folder of a split that ``save_to_disk`` wrote, with all its files in it.

    Raises:
        DataError: If there is no such split, or it names files elsewhere.
    """
    if not (folder / "dataset_dict.json").is_file():
        check_saved(folder)
        return folder
    splits = _names(_told(folder / "dataset_dict.json").get("splits"), folder)
    chosen = one_split({name: folder / name for name in splits}, split)
    check_saved(chosen)
    return chosen


def check_saved(folder: Path) -> None:
    """Refuse a saved set whose list of files leads out of its folder.

    Raises:
        DataError: If it does, or there is no list.
    """
    told = _told(folder / "state.json")
    for key in ("_data_files", "_indices_data_files", "_indices_files"):
        found: object = told.get(key) or []
        if not isinstance(found, list):
            raise DataError(f"{folder / 'state.json'} has no list of files in {key!r}")
        files = cast("list[Any]", found)
        if not files and key == "_data_files":
            raise DataError(f"the data set {folder} has no rows")
        _names([f["filename"] if _is_entry(f) else f for f in files], folder)


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and "filename" in value


def _told(path: Path) -> Mapping[str, Any]:
    try:
        told: object = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise DataError(f"{path} holds no JSON object")
    return cast("dict[str, Any]", told)


def _names(names: object, folder: Path) -> list[str]:
    """Names of files or folders directly in a folder.

    Raises:
        DataError: If one is something else, such as a path that leads elsewhere.
    """
    found = cast("list[object]", names) if isinstance(names, list) else [names]
    for name in found:
        plain = isinstance(name, str) and PurePath(name).name == name and "\\" not in name
        if not plain or name in (".", ".."):
            raise DataError(f"{folder} names {name!r:.80}, which is no file or folder in it")
    return cast("list[str]", found)
