"""One row of somebody's table, read as a sample."""

from __future__ import annotations

import json
import math
import ntpath
import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.samples import PictureLike, Sample
from vt_env.sources.base import Refusal

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sample_id", "question_id", "uid"),
    "image": ("image", "images", "file_name", "image_path", "picture"),
    "question": ("question", "problem", "query"),
    "references": (
        "answers",
        "references",
        "answer",
        "reference",
        "ground_truth",
        "original_answer",
        "solution",
    ),
    "source": ("source", "data_source"),
    "kind": ("kind",),
    "answer_type": ("answer_type",),
    "choices": ("choices", "options"),
}
"""Column names that are understood, by field, the preferred one first.

``original_answer`` comes before ``solution``: it is what VisionThink's released reward reads."""

_PLACEHOLDER = re.compile(r"\s*<image>\s*")
_ANSWER_TAGS = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)
_URL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


def column_table(columns: Mapping[str, str] | None) -> dict[str, tuple[str, ...]]:
    """The aliases, with the user's own column names in place of the understood ones.

    Args:
        columns: Field to column, e.g. ``{"question": "text"}``.

    Raises:
        ConfigError: On a field that does not exist.
    """
    table = dict(ALIASES)
    for name, column in (columns or {}).items():
        if name not in ALIASES:
            raise unknown_name("field", name, ALIASES)
        if not column:
            raise ConfigError(f"the column of field {name!r} is empty")
        table[name] = (column,)
    return table


def missing_columns(present: list[str], table: Mapping[str, tuple[str, ...]]) -> str:
    """What a table lacks whose columns are known beforehand, or ``""``."""
    gaps = [
        f"no {name} column ({', '.join(table[name])})"
        for name in ("image", "question", "references")
        if not any(column in present for column in table[name])
    ]
    return f"{'; '.join(gaps)}; its columns are {', '.join(present)}" if gaps else ""


def read_row(
    row: Mapping[str, Any],
    number: int,
    *,
    name: str,
    table: Mapping[str, tuple[str, ...]],
    locate: Callable[[Any], PictureLike],
) -> Sample | Refusal:
    """A sample, or why there is none.

    Args:
        row: Column to value.
        number: Where the row is, for its id if it has none.
        name: The source's name.
        table: Column names by field, see :func:`column_table`.
        locate: Turns the picture's value into a picture or raises DataError.
    """
    label: str | int = number
    default_id = f"{name.rpartition('/')[2]}-{number:06d}"
    try:
        refuse_bad_unicode(row)
        column, value = _find(row, table["id"])
        used = {column}
        label = sample_id = scalar(value, "id") if value is not None else default_id
        texts: dict[str, Any] = {}
        for key in ("question", "references", "image"):
            column, value = _need(row, key, table[key])
            used.add(column)
            texts[key] = value
        question = scalar(texts["question"], "question")
        for key in ("source", "kind", "answer_type", "choices"):
            column, value = _find(row, table[key])
            used.add(column)
            texts[key] = _texts(value, key) if key == "choices" else _optional(value, key)
        return Sample(
            id=sample_id,
            question=_PLACEHOLDER.sub(" ", question).strip(),
            references=tuple(_unwrap(text) for text in _texts(texts["references"], "references")),
            image=locate(_one(texts["image"])),
            source=texts["source"] or name,
            kind=texts["kind"],
            answer_type=texts["answer_type"],
            choices=texts["choices"],
            metadata={str(key): jsonable(row[key]) for key in row if key not in used},
        )
    except DataError as error:
        return Refusal(label, str(error))
    except RecursionError:
        return Refusal(label, "nested too deeply")


def picture_in(root: Path, value: object) -> Path:
    """The picture file that a row names, inside ``root``.

    Args:
        root: The folder that the path is relative to.
        value: The path in the row, with slashes or backslashes.

    Raises:
        DataError: If it is no relative path, leads out of the folder, or is no file. Links are
            followed, since download caches are made of them.
    """
    if not isinstance(value, str):
        raise DataError(f"the picture must be a relative path, got {type(value).__name__}")
    if ntpath.splitdrive(value)[0] or value[:1] in ("/", "\\"):
        raise DataError(f"the picture {value!r} must be a path relative to {root.name!r}")
    if _URL.match(value):
        raise DataError(f"the picture {value[:80]!r} is a URL; download it, nothing is fetched")
    inside = posixpath.normpath(value.replace("\\", "/"))
    if inside == ".." or inside.startswith("../"):
        raise DataError(f"the picture {value!r} leads out of the folder {root.name!r}")
    path = root / inside
    try:
        found = path.is_file()
    except OSError as error:
        raise DataError(f"the picture {value[:80]!r} cannot be looked up: {error}") from error
    if not found:
        raise DataError(f"the picture {value!r} is not in the folder {root.name!r}")
    return path


def jsonable(value: Any) -> Any:
    """A copy made of JSON's types; what JSON lacks becomes text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {str(key): jsonable(item) for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in cast("list[Any]", value)]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return str(value)


def _find(row: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The first of the named columns that holds something, else the last present one."""
    found = ""
    for name in names:
        if name in row:
            if row[name] not in (None, "", []):
                return name, row[name]
            found = name
    return found, None


def _need(row: Mapping[str, Any], key: str, names: tuple[str, ...]) -> tuple[str, Any]:
    column, value = _find(row, names)
    if not column:
        raise DataError(
            f"no {key}: expected a column {' or '.join(names)}, got {', '.join(map(str, row))}"
        )
    if value is None:
        raise DataError(f"the column {column!r} is empty")
    return column, value


def scalar(value: object, key: str) -> str:
    """Text, or a number as text.

    Raises:
        DataError: If there is none. A truth value is refused too: its wording would be a guess.
    """
    if isinstance(value, bool):
        raise DataError(f"{key} must be text, got {value}; write yes or no, or true or false")
    if not isinstance(value, str | int | float):
        raise DataError(f"{key} must be text, got {type(value).__name__}")
    if isinstance(value, float) and math.isnan(value):
        raise DataError(f"{key} is not a number (NaN)")
    text = str(value)
    if not text.strip():
        raise DataError(f"{key} is empty")
    return text


def _optional(value: object, key: str) -> str:
    return "" if value is None else scalar(value, key)


def _texts(value: Any, key: str) -> tuple[str, ...]:
    """One or more texts: a scalar, a list, or a list of objects with an ``answer`` (VQA)."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        return (scalar(value, key),)
    items = cast("list[Any]", value)
    return tuple(
        scalar(cast("dict[str, Any]", item).get("answer") if isinstance(item, dict) else item, key)
        for item in items
    )


def _unwrap(text: str) -> str:
    """A reference without the answer tags that some releases keep around it."""
    match = _ANSWER_TAGS.fullmatch(text)
    return match[1].strip() if match else text


def _one(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    items = cast("list[Any]", value)
    if len(items) != 1:
        raise DataError(f"expected exactly one picture, got {len(items)}")
    return items[0]


def refuse_bad_unicode(row: Mapping[str, Any]) -> None:
    """Raise DataError for a row with text that cannot be written as UTF-8."""
    for key, value in row.items():
        try:
            json.dumps([key, jsonable(value)], ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise DataError(f"the column {key!r} is not valid Unicode text") from error
