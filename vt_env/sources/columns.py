"""Which column of somebody's table is which field of a sample."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from vt_env.errors import ConfigError, unknown_name

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "sample_id", "question_id", "uid"),
    "image": ("image", "images", "file_name", "image_path", "picture", "image_1"),
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

FIELDS: Mapping[str, str] = {name: field for field, names in ALIASES.items() for name in names}
"""The field that each understood name means."""

ColumnTable = Mapping[str, tuple[str, ...]]
"""Columns by field, the preferred one first; a column is a name or a path such as ``json.text``."""

Columns = Mapping[str, str] | str
"""Field to column, as a mapping or written ``question:text+answer:json.label``."""

_INDEX = re.compile(r"-?[0-9]{1,6}")
MISSING: Any = object()
"""What a row has where it lacks a column; ``None`` is a value."""


def column_table(columns: Columns | None) -> ColumnTable:
    """The aliases, with the user's own column names in place of the understood ones.

    Args:
        columns: Field to column. A field may be called by any understood name, so that ``answer``
            is ``references``. A column inside another is named by its path: keys of objects and
            places in lists, from 0 or from the end, joined by dots, ``messages.-1.content``.

    Raises:
        ConfigError: On a field that does not exist or is named twice, or an empty column.
    """
    table = dict(ALIASES)
    given: set[str] = set()
    for name, column in _pairs(columns or {}):
        if name not in FIELDS:
            raise unknown_name("field", name, FIELDS)
        field = FIELDS[name]
        if not column.strip("."):
            raise ConfigError(f"the column of field {name!r} is empty")
        if field in given:
            raise ConfigError(f"columns names the field {field!r} twice")
        given.add(field)
        table[field] = (column,)
    return table


def _pairs(columns: object) -> list[tuple[str, str]]:
    if isinstance(columns, Mapping):
        pairs = [tuple(pair) for pair in cast("Mapping[Any, Any]", columns).items()]
        if all(isinstance(part, str) for pair in pairs for part in pair):
            return cast("list[tuple[str, str]]", pairs)
    elif isinstance(columns, str):
        found = [part.partition(":") for part in columns.split("+")]
        if all(colon and field for field, colon, _ in found):
            return [(field.strip(), column.strip()) for field, _, column in found]
    raise ConfigError(
        f"columns is field:column, several joined by '+', as in question:text+answer:label; "
        f"got {columns!r:.80}"
    )


def missing_columns(present: Sequence[str], table: ColumnTable) -> str:
    """What a table lacks whose columns are known beforehand, or ``""``."""
    gaps = [
        f"no {name} column ({', '.join(table[name])})"
        for name in ("image", "question", "references")
        if not any(top_column(column, present) in present for column in table[name])
    ]
    return f"{'; '.join(gaps)}; its columns are {', '.join(present)}" if gaps else ""


def top_column(column: str, present: Sequence[str] | Mapping[str, Any]) -> str:
    """The column of the table in which a named column is found: itself, or its path's first."""
    return column if column in present else column.partition(".")[0]


def numbered_after(column: str, present: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """The columns that go on a numbered one: image_2, image_3, … for image_1, as far as they go."""
    base, underscore, number = column.rpartition("_")
    found: list[str] = []
    while underscore and number == "1" and (name := f"{base}_{len(found) + 2}") in present:
        found.append(name)
    return found


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column, or at a path; :data:`MISSING` where it has nothing there."""
    if column in row:
        return row[column]
    if "." not in column:
        return MISSING
    value: Any = row
    for step in column.split("."):
        if isinstance(value, Mapping) and step in value:
            value = cast("Mapping[str, Any]", value)[step]
        elif isinstance(value, list | tuple) and _INDEX.fullmatch(step):
            items = cast("Sequence[Any]", value)
            if not -len(items) <= int(step) < len(items):
                return MISSING
            value = items[int(step)]
        else:
            return MISSING
    return value
