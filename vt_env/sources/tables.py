"""Rows of somebody's table, wherever they are kept; text tables are read within bounds.

No line and no record takes more than :data:`LIMIT` characters of memory, whatever the file says:
what is longer is one refused row, and reading goes on behind it.
"""

from __future__ import annotations

import codecs
import csv
import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, AnyStr, cast

from vt_env.errors import DataError
from vt_env.sources.columns import ColumnTable, missing_columns
from vt_env.strict_json import unique_keys

LIMIT = 2**20
"""Bytes of a line, and characters of a CSV record, that are read."""

LINES = 1000
"""Lines that the cells of one CSV record may hold."""

Line = tuple[int, Mapping[str, Any] | str]
"""A line's number from 1, and its columns or the reason for which it cannot be read."""

_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_json_lines(path: Path) -> Iterator[Line]:
    """The objects of a file; blank lines are passed over, a UTF-8 byte-order mark is allowed.

    Raises:
        DataError: If the file is UTF-16 or UTF-32.
    """
    _check_encoding(path)
    with path.open("rb") as file:
        for number, raw in _lines(file):
            if isinstance(raw, str):
                yield number, raw
                continue
            raw = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
            if raw.strip():
                yield number, parse_object(raw)


def parse_object(raw: bytes) -> Mapping[str, Any] | str:
    """A line's object, or why there is none."""
    try:
        value: object = json.loads(raw.decode("utf-8"), object_pairs_hook=unique_keys)
    except UnicodeDecodeError as error:
        return f"not UTF-8 text: {error.reason} at byte {error.start}"
    except RecursionError:
        return "not readable JSON: nested too deeply"
    except ValueError as error:
        return f"not readable JSON: {error}"
    if not isinstance(value, dict):
        return f"expected a JSON object, got {type(value).__name__}"
    return cast("dict[str, Any]", value)


def read_cells(path: Path, table: ColumnTable) -> Iterator[Line]:
    """The rows of a CSV or TSV file with a header.

    A quote that does not close within the bounds makes its line a refused row; the next line is
    read as the beginning of a row again.

    Args:
        path: The file; ``.tsv`` has tabs between its cells.
        table: Columns by field, to see whether the header lacks one.

    Raises:
        DataError: If the header cannot be read or lacks a column, or the file is no UTF-8.
    """
    _check_encoding(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        records = _records(_lines(file), delimiter)
        _, header = next(records, (1, ""))
        if isinstance(header, str) or not header:
            raise DataError(f"{path} has no readable header")
        if gaps := missing_columns(header, table):
            raise DataError(f"{path} has {gaps}"[:2000])
        if len(set(header)) < len(header):
            raise DataError(f"{path} names a column twice: {', '.join(header)}"[:2000])
        for number, cells in records:
            if isinstance(cells, str):
                yield number, cells
            elif len(cells) != len(header):
                yield number, f"expected {len(header)} cells as in the header, got {len(cells)}"
            else:
                yield number, dict(zip(header, cells, strict=True))


def _check_encoding(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) in _WIDE:
            raise DataError(f"{path} is not UTF-8 but UTF-16 or UTF-32; save it as UTF-8")


def _lines(file: IO[AnyStr]) -> Iterator[tuple[int, AnyStr | str]]:
    """Numbered lines; for one that is too long the reason."""
    number = 0
    while line := file.readline(LIMIT + 1):
        number += 1
        if len(line) <= LIMIT:
            yield number, line
            continue
        newline = cast("AnyStr", "\n" if isinstance(line, str) else b"\n")
        length = len(line)
        while line and not line.endswith(newline):
            line = file.readline(LIMIT)
            length += len(line)
        told = f"the line has {length} characters, at most {LIMIT} are read"
        yield number, _TooLong(told)


class _TooLong(str):
    """Why a line of text was not read, to be told apart from a line of text."""


class _Open(Exception):
    """A record went beyond the bounds: a quote was opened and did not close."""


def _records(
    lines: Iterator[tuple[int, str]], delimiter: str
) -> Iterator[tuple[int, list[str] | str]]:
    """The cells of each record with its first line's number, or why they cannot be read."""
    again: deque[tuple[int, str]] = deque()
    taken: list[tuple[int, str]] = []

    def following() -> Iterator[str]:
        size = 0
        while True:
            found = again.popleft() if again else next(lines, None)
            if found is None:
                return
            taken.append(found)
            size += len(found[1])
            if isinstance(found[1], _TooLong) or size > LIMIT or len(taken) > LINES:
                raise _Open
            yield found[1]

    while True:
        taken.clear()
        try:
            cells: list[str] | str = next(csv.reader(following(), delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except (csv.Error, _Open) as error:
            cells = _reason(error, taken)
            again.extendleft(reversed(taken[1:]))
        if cells:
            yield taken[0][0], cells


def _reason(error: Exception, taken: list[tuple[int, str]]) -> str:
    if isinstance(taken[0][1], _TooLong):
        return str(taken[0][1])
    if isinstance(error, _Open) or "unexpected end" in str(error):
        return "not a readable row: a quote is opened in it and does not close"
    return f"not a readable row: {error}"


Row = Mapping[str, Any] | str
"""Column to value, or why the row cannot be read."""

_JSON_LIMIT = 2**25
"""Bytes of a ``.json`` file, which has to be read as a whole."""


class Rows(ABC):
    """A table's rows, with pictures or without.

    Attributes:
        names: The columns.
    """

    names: Sequence[str]

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def opening(self) -> Iterator[Row]:
        """All rows in order; bytes are not read, a placeholder says that they are there."""

    @abstractmethod
    def whole(self, number: int) -> Row:
        """One row with everything in it."""

    def folder(self, number: int) -> Path | None:
        """The folder that a row's picture paths are relative to; ``None`` where there is none."""
        return None

    def state(self) -> Any:
        """What is another, as JSON, once the pictures in the rows are; ``None`` if not known."""
        return None

    def chosen(self, numbers: Sequence[int]) -> Rows:
        """Some of the rows, in growing order, numbered anew from 0."""
        return _Chosen(self, numbers)


class _Chosen(Rows):
    def __init__(self, rows: Rows, numbers: Sequence[int]) -> None:
        self.names, self._rows, self._numbers = rows.names, rows, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def opening(self) -> Iterator[Row]:
        wanted = iter(self._numbers)
        following = next(wanted, None)
        for number, row in enumerate(self._rows.opening()):
            if following is None:
                return
            if number == following:
                yield row
                following = next(wanted, None)

    def whole(self, number: int) -> Row:
        return self._rows.whole(self._numbers[number])

    def folder(self, number: int) -> Path | None:
        return self._rows.folder(self._numbers[number])

    def state(self) -> Any:
        inner = self._rows.state()
        return None if inner is None else [inner, list(self._numbers)]


class TextRows(Rows):
    """The rows of text tables, which are held in memory.

    Args:
        files: CSV, TSV, JSON files with one list of objects, or else JSON lines.
        table: Columns by field.
    """

    def __init__(self, files: Sequence[Path], table: ColumnTable) -> None:
        self._rows = [
            (row, file.parent)
            for file in files
            for row in (
                _objects(file)
                if file.suffix.lower() == ".json"
                else (row for _, row in lines_of(file, table))
            )
        ]
        read = [row for row, _ in self._rows if not isinstance(row, str)]
        self.names = list(dict.fromkeys(name for row in read for name in row))

    def __len__(self) -> int:
        return len(self._rows)

    def opening(self) -> Iterator[Row]:
        """As :meth:`Rows.opening`."""
        return (row for row, _ in self._rows)

    def whole(self, number: int) -> Row:
        """As :meth:`Rows.whole`."""
        return self._rows[number][0]

    def folder(self, number: int) -> Path | None:
        """The folder of the row's table."""
        return self._rows[number][1]


def lines_of(path: Path, table: ColumnTable) -> Iterator[Line]:
    """The lines of a text table: ``.csv``, ``.tsv``, or JSON lines under any other name.

    Raises:
        DataError: If it cannot be read as such a table.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        return read_cells(path, table)
    return read_json_lines(path)


def _objects(file: Path) -> Iterator[Row]:
    if file.stat().st_size > _JSON_LIMIT:
        raise DataError(f"{file} is larger than 32 MiB; write it as JSON lines, an object a line")
    try:
        told: object = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not readable JSON: {error}") from error
    if not isinstance(told, list):
        raise DataError(f"expected a list of objects in {file}, got a {type(told).__name__}")
    for row in cast("list[object]", told):
        kind = type(row).__name__
        yield cast("Row", row) if isinstance(row, dict) else f"expected an object, got {kind}"
