"""One row of a benchmark's table, read column by column."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vt_env.errors import DataError
from vt_env.sources.rows import jsonable, scalar

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ABSENT = ("", "nan", "none", "null")
"""How tables write that there is nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """The parts of a sample.

    Attributes:
        question: The question, options written out, without the benchmark's prefix and suffix.
        references: Accepted answers.
        image: The cell of the picture.
        id: The row's own id; empty where it has none.
        kind: Category, for tables.
        answer_type: See :class:`vt_env.judges.Query`.
        choices: Option texts.
        metadata: What the metric needs beside that.
        form: Which suffix is put after the question.
    """

    question: str
    references: tuple[str, ...]
    image: Any
    id: str = ""
    kind: str = ""
    answer_type: str = ""
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    form: str = ""


class Cells:
    """The cells of one row; every error names the column.

    Args:
        row: Column to value.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def raw(self, column: str) -> Any:
        """The value as it is; ``None`` where the column is missing."""
        return self._row.get(column)

    def text(self, column: str) -> str:
        """A text or a number as text, not empty.

        Raises:
            DataError: If there is none.
        """
        value = self._row.get(column)
        if value is None:
            raise DataError(f"the column {column!r} is empty")
        return scalar(value, f"the column {column!r}")

    def optional(self, column: str) -> str:
        """A text, or ``""`` where the table says that there is none (null, NaN, ``nan``)."""
        value = self._row.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        text = str(value)
        return "" if text.strip().lower() in _ABSENT else text

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of texts, or one; blank ones are passed over.

        Raises:
            DataError: If none is left.
        """
        value = self._row.get(column)
        values = list(value) if isinstance(value, list | tuple) else [value]
        made = [scalar(v, f"the column {column!r}") for v in values if not _is_blank(v)]
        if not made:
            raise DataError(f"the column {column!r} is empty")
        return tuple(made)

    def metadata(self, *columns: str) -> dict[str, Any]:
        """Columns as JSON's types; those of a nested ``metadata`` by their own names."""
        return {column: jsonable(self._row.get(column)) for column in columns}

    def nested(self, column: str) -> dict[str, Any]:
        """A cell that is a table of its own.

        Raises:
            DataError: If it is none.
        """
        value = self._row.get(column)
        if not isinstance(value, Mapping):
            raise DataError(f"the column {column!r} must be a table, got {type(value).__name__}")
        return jsonable(value)

    def literal(self, column: str) -> tuple[str, ...]:
        """A list of texts that is written as Python writes it; empty for ``[]``.

        Raises:
            DataError: If it is no such list.
        """
        text = self.text(column)
        try:
            value: object = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise DataError(f"the column {column!r} is no written list: {text[:60]!r}") from error
        if not isinstance(value, list):
            raise DataError(f"the column {column!r} is no written list: {text[:60]!r}")
        return tuple(str(item) for item in value)


def lettered(choices: Iterator[str] | tuple[str, ...]) -> str:
    """Options a line each: ``A. first``."""
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False))


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
