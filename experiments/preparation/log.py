"""``rollouts.jsonl``: one line a sample, in the order of the data; the truth of a preparation.

=================  ========================================================================
id, n              the sample, and its place in the source
status             ``played``, ``duplicate``, ``contaminated`` or ``refused``
reason             why it was not played
kind, source       of the sample
pixels, look       the picture's fingerprint, see :mod:`experiments.preparation.prints`
equal, alike       the groups in which a duplicate is looked for
full_tokens        visual tokens of the original
low, full          the rollouts: ``text, answer, correct, judge, reason, well_formed, tokens``
=================  ========================================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from experiments.files import json_line
from vt_env import DataError

FILE = "rollouts.jsonl"
PLAYED, DUPLICATE, CONTAMINATED, REFUSED = "played", "duplicate", "contaminated", "refused"
STATUSES = (PLAYED, DUPLICATE, CONTAMINATED, REFUSED)

Row = dict[str, Any]


class RolloutLog:
    """The file, to which rows are added and from which they are read, one at a time.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows and put them on the disk.

        Raises:
            OSError: If the disk is full; rows that were written whole are kept.
        """
        with self.path.open("a", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json_line(row))
            stream.flush()
            os.fsync(stream.fileno())

    def cut_torn(self) -> None:
        """Cut off a last line that a killed process left unfinished."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as stream:
            end = 0
            for line in stream:
                if not line.endswith(b"\n"):
                    stream.truncate(end)
                    return
                end += len(line)

    def rows(self, limit: int | None = None) -> Iterator[Row]:
        """The rows in order, at most ``limit``; an unfinished last one is left out.

        Raises:
            DataError: If a line is no row, or not the one that belongs there.
        """
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            for number, line in enumerate(stream):
                if not line.endswith(b"\n") or number == limit:
                    return
                yield self._row(line, number)

    def _row(self, line: bytes, number: int) -> Row:
        try:
            row = json.loads(line)
            if row["n"] == number and row["status"] in STATUSES:
                return row
        except (ValueError, KeyError, TypeError):
            pass
        raise DataError(
            f"{self.path}, line {number + 1}: expected the row of sample number {number}; "
            "delete the file from this line on, then resume"
        )
