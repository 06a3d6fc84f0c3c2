"""Judging many recorded answers: batches, and the next one begun before a batch is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from vt_env import Judge, Query, Verdict
from vt_env.judges import submit
from vt_env.judges.base import Pending

BATCH = 256
T = TypeVar("T")


def judged(rows: Iterable[tuple[T, Query]], judge: Judge) -> Iterator[tuple[T, Verdict]]:
    """Rows with the verdicts of what is asked about them, in order."""
    left = iter(rows)
    begun: list[tuple[list[T], Pending]] = []
    while True:
        batch = list(islice(left, BATCH))
        if batch:
            begun.append(([row for row, _ in batch], submit(judge, [query for _, query in batch])))
        if len(begun) > 1 or (begun and not batch):
            some, pending = begun.pop(0)
            yield from zip(some, pending.result(), strict=True)
        elif not batch:
            return
