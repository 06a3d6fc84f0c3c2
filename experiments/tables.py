"""Tables: made once, written for the terminal, in Markdown, on the page and for W&B.

Cells are values; how a column shows numbers is its format. ``None`` is unknown and shown as a dash,
a pair is an interval, text is shown as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_NOTHING = ("", "-", "0", "100%")
"""Numbers that say nothing in a table with one row."""
LEAST = 12
"""Columns of the terminal to which a column of text may be folded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its heading.
        form: How numbers are formatted, as :func:`format` takes it.
        text: Whether it holds text, which stands left and may be folded.
    """

    name: str
    form: str = ""
    text: bool = False

    def cell(self, value: Any) -> str:
        """A value as it is shown."""
        if value is None:
            return "-"
        if isinstance(value, tuple | list):
            between = " to " if self.form.startswith("+") else "–"
            return between.join(format(end, self.form) for end in value)
        return value if isinstance(value, str) else format(value, self.form)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values under columns.

    Attributes:
        title: Above it.
        columns: At least one.
        rows: As wide as there are columns.
        note: Below it.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    @property
    def names(self) -> list[str]:
        """The headings."""
        return [column.name for column in self.columns]

    def cells(self) -> list[list[str]]:
        """All values as they are shown."""
        return [
            [column.cell(value) for column, value in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def markdown(self) -> str:
        """The table in Markdown; a bar within a cell is escaped."""
        lines = [self.names, ["---"] * len(self.columns), *self.cells()]
        return "\n".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
        )

    def only(self, places: Sequence[int], note: str) -> Table:
        """Some of the columns, with a note that says what the others hold."""
        return replace(
            self,
            columns=[self.columns[i] for i in places],
            rows=[[row[i] for i in places] for row in self.rows],
            note="\n".join(filter(None, (note, self.note))),
        )

    def constant(self) -> list[int]:
        """Columns of numbers that say the same in every row, in one row that there is nothing."""
        return [
            place
            for place, (column, *found) in enumerate(zip(self.columns, *self.cells(), strict=True))
            if not column.text and len(set(found)) == 1 and (len(found) > 1 or found[0] in _NOTHING)
        ]
