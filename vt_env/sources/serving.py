"""Sources over samples in memory, over rows, and over a text table beside picture files.

The sources ``jsonl`` and ``folder`` differ in which file a folder means, and what they are called
after::

    {"id": "a-1", "image": "images/a.jpg", "question": "What is it?", "answers": ["a cat", "cat"]}

In a CSV or TSV cell several answers are written as a JSON list: ``["a cat", "cat"]``. Columns that
no field is read from go to the sample's metadata; :data:`vt_env.sources.columns.ALIASES` lists the
names that are understood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack, cast

from vt_env.errors import DataError
from vt_env.kept import Digests, Kept
from vt_env.samples import PictureLike, Sample
from vt_env.sources.admission import Admission, AdmissionOptions, Intake
from vt_env.sources.base import Refusal, Source, text_of
from vt_env.sources.columns import Columns, ColumnTable, column_table
from vt_env.sources.places import Place
from vt_env.sources.rows import read_row
from vt_env.sources.tables import Row, Rows, lines_of


class ListSource(Source):
    """Samples in memory; pictures stay where they are until they are decoded.

    Args:
        samples: The samples.
        name: For tables and provenance.
        **options: See :class:`~vt_env.sources.admission.Admission`.
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        name: str = "samples",
        **options: Unpack[AdmissionOptions],
    ) -> None:
        self._open(name, enumerate(samples), Admission(**options))

    def _open(
        self, name: str, rows: Iterable[tuple[int, Sample | Refusal]], admission: Admission
    ) -> None:
        intake = Intake(name, admission)
        self.name = name
        self._samples = [sample for _, sample in intake.admit(rows)]
        self._ids = [sample.id for sample in self._samples]
        intake.report(self)

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        return self._samples[index]


ReadRow = Callable[[Mapping[str, Any], int], Sample | Refusal]


class RowSource(Source):
    """Rows that are read one at a time by a function.

    Args:
        name: For tables and provenance.
        rows: The rows.
        read: Makes a sample, or a refusal, of a row (column to value, pictures still encoded) and
            its position from 0.
        admission: What is asked of the rows. Pictures are read on opening only where its ``check``
            is not ``none``.

    Raises:
        DataError: If too many rows are refused.
    """

    def __init__(self, name: str, rows: Rows, read: ReadRow, admission: Admission) -> None:
        self.name = name
        self._read_row = read
        self._table = rows
        intake = Intake(name, admission)
        self._rows: list[int] = []
        self._ids: list[str] = []
        every = (rows.whole(number) for number in range(len(rows)))
        found = rows.opening() if admission.check == "none" else every
        for number, sample in intake.admit((n, self._made(row, n)) for n, row in enumerate(found)):
            self._rows.append(number)
            self._ids.append(sample.id)
        intake.report(self)

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        number = self._rows[index]
        made = self._made(self._table.whole(number), number)
        if isinstance(made, Refusal):
            raise DataError(f"data set {self.name!r} changed since it was opened: {made}")
        return made

    def _hashed(self, pictures: Digests) -> str:
        """As ever, but once only for a table that holds its pictures and has not changed since."""
        said = self._said()
        if said is None:
            return super()._hashed(pictures)
        kept = Kept("fingerprint", said)
        if "fingerprint" in kept:
            return kept["fingerprint"]
        made = super()._hashed(pictures)
        if not pictures.files:  # which may change while the table stays
            kept["fingerprint"] = made
            kept.write()
        return made

    def _said(self) -> Any:
        """The table's state and all that it says beside its pictures; ``None`` if not known."""
        state = self._table.state()
        if state is None:
            return None
        served, said = set(self._rows), hashlib.sha256()
        for number, row in zip(range(self._rows[-1] + 1), self._table.opening(), strict=False):
            if number in served:
                sample = self._made(row, number)
                if isinstance(sample, Refusal):
                    return None
                said.update(text_of(sample).encode())
        return state, self._rows, said.hexdigest()

    def _made(self, row: Row, number: int) -> Sample | Refusal:
        return Refusal(number, row) if isinstance(row, str) else self._read_row(row, number)


@dataclass(frozen=True)
class Reader:
    """Makes samples of rows.

    Attributes:
        name: The source's.
        table: Columns by field.
        rows: The rows, which may have a folder of their own.
        place: Where the set's picture files are, if it has any.
        unseen: Whether pictures were not looked at on opening. A cell that then turns out to have
            none is an empty picture, which is refused when it is shown and ends nothing.
    """

    name: str
    table: ColumnTable
    rows: Rows
    place: Place | None
    unseen: bool = False

    def __call__(self, row: Mapping[str, Any], number: int) -> Sample | Refusal:
        """The sample of a row, or why there is none."""
        place, folder = self.place, self.rows.folder(number)
        if place is not None and folder is not None:
            place = Place(folder, place.root)
        locate = partial(self._picture, place)
        return read_row(row, number, name=self.name, table=self.table, locate=locate)

    def _picture(self, place: Place | None, value: Any) -> PictureLike:
        try:
            return encoded_picture(value, place)
        except DataError:
            if self.unseen and isinstance(value, dict):
                return b""
            raise


def encoded_picture(value: Any, place: Place | None = None) -> PictureLike:
    """The encoded picture of a cell: its bytes, or a file in the set's own folder.

    Raises:
        DataError: If it holds none, or a path where there is no folder.
    """
    if isinstance(value, dict):
        cell = cast("dict[str, Any]", value)
        value = cell.get("bytes") or cell.get("path") or cell.get("bytes")
    if isinstance(value, bytes):
        return value
    if value is None:
        raise DataError("the picture is empty")
    if place is None:
        raise DataError("the picture is a path, and a set from the Hub has no folder for it")
    return place.picture(value)


class JsonlSource(ListSource):
    """A text table of which each line names a picture file.

    A row's number, for refusals and for ids where the data have none, is that of its line.

    Args:
        path: The table, ``.csv``, ``.tsv``, or JSON lines under any other name; or a folder with
            one ``.jsonl`` file, or one of the folder's own name.
        columns: Field to column, see :func:`~vt_env.sources.columns.column_table`.
        root: A folder that pictures may lie in beside the table's own, see
            :class:`~vt_env.sources.places.Place`.
        **options: See :class:`~vt_env.sources.admission.Admission`.

    Raises:
        DataError: If there is no such table, it lacks a column, or too many rows are refused.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Columns | None = None,
        root: str | Path | None = None,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        path = Path(path).expanduser()
        self.path = path if path.is_file() else self._find(path)
        name, table = self._called(), column_table(columns)
        locate = Place.of(self.path.parent, root).picture
        rows = (
            (number, Refusal(number, row))
            if isinstance(row, str)
            else (number, read_row(row, number, name=name, table=table, locate=locate))
            for number, row in lines_of(self.path, table)
        )
        self._open(name, rows, Admission(**options))

    def _called(self) -> str:
        return self.path.stem

    def _find(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(f"expected a JSON-lines file or its folder, found nothing at {folder}")
        named = folder / f"{folder.resolve().name}.jsonl"
        found = [named] if named.is_file() else sorted(folder.glob("*.jsonl"))
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise DataError(
                f"expected one .jsonl file in {folder}, or one named {named.name}, found {names}"
            )
        return found[0]


class FolderSource(JsonlSource):
    """A folder of pictures with a table beside them, as Hugging Face's ImageFolder has it.

    The table is ``metadata.csv``, ``metadata.tsv`` or ``metadata.jsonl``, or else the only
    ``*.tsv`` or ``*.csv`` of the folder. Its column ``file_name`` (or ``image``) holds paths
    relative to the folder, which may also be named by the table itself.
    """

    def _called(self) -> str:
        return self.path.parent.resolve().name

    def _find(self, folder: Path) -> Path:
        if not folder.is_dir():
            raise DataError(
                f"expected a folder of pictures with a table, found nothing at {folder}"
            )
        if table := table_in(folder):
            return table
        raise DataError(
            f"expected {', '.join(_TABLES)}, or a single .tsv or .csv file in {folder}; "
            f"it has {', '.join(sorted(p.name for p in folder.iterdir())[:8]) or 'no files'}"
        )


_TABLES = ("metadata.csv", "metadata.tsv", "metadata.jsonl")


def table_in(folder: Path) -> Path | None:
    """The table of a picture folder, if it has one that is clearly it."""
    named = [folder / name for name in _TABLES if (folder / name).is_file()]
    found = named[:1] or [*folder.glob("*.tsv"), *folder.glob("*.csv")]
    return found[0] if len(found) == 1 else None
