"""Sources whose rows stand in a text table beside the picture files."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vt_env.samples import Sample
from vt_env.sources.admission import Admission, Intake
from vt_env.sources.base import Refusal, Source
from vt_env.sources.rows import column_table, picture_in, read_row

Line = tuple[int, Mapping[str, Any] | str]
"""A line's number from 1, and its columns or the reason for which it cannot be read."""


class ListSource(Source):
    """Samples in memory; pictures stay where they are until they are decoded.

    Args:
        samples: The samples.
        name: For tables and provenance.
        admission: What is asked of them.
    """

    def __init__(
        self,
        samples: Iterable[Sample],
        name: str = "samples",
        admission: Admission | None = None,
    ) -> None:
        self._open(name, enumerate(samples), admission or Admission())

    def _open(
        self, name: str, rows: Iterable[tuple[int, Sample | Refusal]], admission: Admission
    ) -> None:
        intake = Intake(name, admission)
        self.name = name
        self._samples = [sample for _, sample in intake.admit(rows)]
        self._ids = [sample.id for sample in self._samples]
        self.refused = tuple(intake.refused)

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        return self._samples[index]


class TableSource(ListSource):
    """A table of which each line names a picture file.

    Args:
        name: For tables and provenance.
        root: The folder that picture paths are relative to.
        lines: The table's lines.
        columns: Field to column name where the name is not an understood one.
        admission: What is asked of the rows.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        lines: Iterable[Line],
        columns: Mapping[str, str] | None,
        admission: Admission,
    ) -> None:
        self.root = root
        self._open(name, _read(name, root, lines, columns), admission)


def _read(
    name: str, root: Path, lines: Iterable[Line], columns: Mapping[str, str] | None
) -> Iterator[tuple[int, Sample | Refusal]]:
    table = column_table(columns)
    locate = functools.partial(picture_in, root)
    for number, row in lines:
        if isinstance(row, str):
            yield number, Refusal(number, row)
        else:
            yield number, read_row(row, number, name=name, table=table, locate=locate)
