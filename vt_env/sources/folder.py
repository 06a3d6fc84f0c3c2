"""A folder of pictures with a table beside them, as Hugging Face's ImageFolder has it.

The table is ``metadata.csv``, ``metadata.tsv`` or ``metadata.jsonl``, or else the only ``*.tsv``
or ``*.csv`` of the folder. Its column ``file_name`` (or ``image``) holds paths relative to the
folder. In a CSV or TSV cell several answers are written as a JSON list: ``["a cat", "cat"]``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Unpack

from vt_env.errors import DataError
from vt_env.sources.admission import Admission, AdmissionOptions
from vt_env.sources.jsonl import read_json_lines
from vt_env.sources.rows import column_table, missing_columns
from vt_env.sources.tables import Line, TableSource

_NAMES = ("metadata.csv", "metadata.tsv", "metadata.jsonl")
_LISTS = frozenset({"answers", "references", "choices", "options"})


class FolderSource(TableSource):
    """Pictures in a folder with a table.

    Args:
        path: The folder, or the table itself.
        columns: Field to column name, e.g. ``{"question": "text"}``.
        **options: See :class:`~vt_env.sources.admission.Admission`.

    Raises:
        DataError: If there is no table, it lacks a column, or too many rows are refused.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        self.path = find_table(Path(path).expanduser())
        root = self.path.parent
        lines = (
            read_json_lines(self.path)
            if self.path.suffix == ".jsonl"
            else read_cells(self.path, columns)
        )
        super().__init__(root.resolve().name, root, lines, columns, Admission(**options))


def table_in(folder: Path) -> Path | None:
    """The table of a picture folder, if it has one that is clearly it."""
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    found = [*folder.glob("*.tsv"), *folder.glob("*.csv")]
    return found[0] if len(found) == 1 else None


def find_table(path: Path) -> Path:
    """The table that a path means.

    Raises:
        DataError: If it means none.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"expected a folder of pictures with a table, found nothing at {path}")
    table = table_in(path)
    if table is None:
        raise DataError(
            f"expected {', '.join(_NAMES)}, or a single .tsv or .csv file in {path}; "
            f"it has {', '.join(sorted(p.name for p in path.iterdir())[:8]) or 'no files'}"
        )
    return table


def read_cells(path: Path, columns: Mapping[str, str] | None = None) -> Iterator[Line]:
    """The rows of a CSV or TSV file with a header.

    Raises:
        DataError: If the header lacks a column.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            header = next(reader)
        except (StopIteration, csv.Error) as error:
            raise DataError(f"{path} has no readable header") from error
        if gaps := missing_columns(header, column_table(columns)):
            raise DataError(f"{path} has {gaps}")
        if len(set(header)) < len(header):
            raise DataError(f"{path} names a column twice: {', '.join(header)}")
        while True:
            number = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, f"not a readable row: {error}"
                continue
            if cells:
                yield number, _row(header, cells)


def _row(header: list[str], cells: list[str]) -> Mapping[str, Any] | str:
    if len(cells) != len(header):
        return f"expected {len(header)} cells as in the header, got {len(cells)}"
    row: dict[str, Any] = {}
    for column, cell in zip(header, cells, strict=True):
        row[column] = _json_list(cell) if column in _LISTS else cell
    return row


def _json_list(cell: str) -> Any:
    """The list that a cell spells as JSON, or the cell."""
    if cell.startswith("["):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            pass
    return cell
