"""TSV tables with a picture in each row, written as base64: read one record at a time.

They are what pandas writes: a cell with a tab, a quote or a line break stands between quotes, and
quotes in it are doubled.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from vt_env.errors import DataError
from vt_env.sources.arrow import PRESENT
from vt_env.sources.tables import Row, Rows

RECORD = 2**27
"""Bytes of a record, its picture included, that are read."""

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^\t"]*))(\t|\Z)')


def decoded(text: str) -> bytes:
    """The bytes of a picture that is written as base64.

    Raises:
        DataError: If it is not.
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise DataError(f"the picture is not base64: {text[:24]!r}…") from error


class EncodedTsv(Rows):
    """The rows of one such table. Only where they begin is held in memory.

    Args:
        path: The file.
        encoded: The columns that hold pictures; they are not read on opening.

    Raises:
        DataError: If the file has no readable header.
    """

    def __init__(self, path: Path, encoded: Sequence[str]) -> None:
        self._path = path
        self._encoded = frozenset(encoded)
        try:
            with path.open("rb") as file:
                begins = [begin for begin, _ in _records(file)]
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        header = self._cells(begins[0]) if begins else "no rows"
        if isinstance(header, str):
            raise DataError(f"{path} has no readable header: {header}")
        self.names = header
        self._begins = begins[1:]

    def __len__(self) -> int:
        return len(self._begins)

    def opening(self) -> Iterator[Row]:
        """As :meth:`Rows.opening`."""
        for number in range(len(self)):
            row = self.whole(number)
            if not isinstance(row, str):
                row = {k: PRESENT if k in self._encoded and v else v for k, v in row.items()}
            yield row

    def whole(self, number: int) -> Row:
        """As :meth:`Rows.whole`."""
        cells = self._cells(self._begins[number])
        if isinstance(cells, str):
            return cells
        if len(cells) != len(self.names):
            return f"expected {len(self.names)} cells as in the header, got {len(cells)}"
        return dict(zip(self.names, cells, strict=True))

    def folder(self, number: int) -> Path | None:
        """The table's folder."""
        return self._path.parent

    def _cells(self, begin: int) -> list[str] | str:
        """The cells of the record that begins there, or why they cannot be read."""
        with self._path.open("rb") as file:
            file.seek(begin)
            raw = next(_records(file))[1]
        try:
            text = raw.decode("utf-8").rstrip("\r\n").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            return f"not UTF-8 text: {error.reason} at byte {error.start}"
        cells: list[str] = []
        at = 0
        while match := _CELL.match(text, at):
            quoted, plain, end = match.groups()
            cells.append(plain if quoted is None else quoted.replace('""', '"'))
            at = match.end()
            if not end:
                return cells
        return "not a readable row: a quote in it is not as TSV has it"


def _records(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where records begin, and their bytes; a record ends with a line whose quotes are paired."""
    begin = file.tell()
    taken: list[bytes] = []
    size = quotes = 0
    while line := file.readline(RECORD):
        taken.append(line)
        size += len(line)
        quotes += line.count(b'"')
        if size >= RECORD:
            raise DataError(
                f"{getattr(file, 'name', 'the table')}: the record at byte {begin} is longer than "
                f"{RECORD // 2**20} MiB, or a quote in it does not close"
            )
        if quotes % 2 == 0 and line.endswith(b"\n"):
            if (record := b"".join(taken)).strip():
                yield begin, record
            begin, taken, size, quotes = file.tell(), [], 0, 0
    if taken:
        yield begin, b"".join(taken)
