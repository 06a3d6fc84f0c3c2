"""What a benchmark measured beside what it should be, and a miss that nobody overlooks.

Every script here that states a target makes :class:`Bound` of it and ends with :func:`conclude`,
which leaves with status 1 if one was missed.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainers.provenance import commit

PACKAGES = ("gymnasium", "numpy", "torch", "transformers", "trl")


@dataclass(frozen=True, slots=True)
class Bound:
    """A number and what it should be.

    Attributes:
        what: In words.
        measured: A ratio, or a quantity that does not depend on what else the machine does.
        limit: What it is held against.
        least: Whether it may not be below the limit; else it may not be above.
    """

    what: str
    measured: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as it should be; a number that is none is not."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit

    def __str__(self) -> str:
        word = "at least" if self.least else "at most"
        missed = "" if self.met else "   MISSED"
        return f"{self.what:<64} {self.measured:10,.2f}  {word} {self.limit:,g}{missed}"


def conclude(bounds: Sequence[Bound], out: Path, details: Mapping[str, Any] | None = None) -> None:
    """Print a table, write all as JSON, and leave with status 1 if a bound was missed.

    Args:
        bounds: One or more.
        out: The JSON file; its folder is made.
        details: What else is written.

    Raises:
        SystemExit: If one was missed.
        ValueError: If there is none.
    """
    if not bounds:
        raise ValueError("expected one bound or more, since a benchmark without one cannot fail")
    told = {
        "bounds": [{**asdict(bound), "met": bound.met} for bound in bounds],
        **(details or {}),
        "python": platform.python_version(),
        "versions": _versions(),
        "commit": commit(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    print(*bounds, f"written: {out}", sep="\n")
    if missed := [bound.what for bound in bounds if not bound.met]:
        sys.exit(f"missed: {'; '.join(missed)}")


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def quickest(
    sides: Sequence[Callable[[], object]],
    repeat: int,
    clock: Callable[[], float] = time.process_time,
) -> list[float]:
    """The fewest seconds of each side over some rounds, in which the sides take turns.

    Other programs only ever add to a time, so the fewest says most about the code; turns let both
    sides see the same machine.

    Args:
        sides: What to time.
        repeat: Rounds.
        clock: Seconds of the processor by default.
    """
    fewest = [float("inf")] * len(sides)
    for turn in range(repeat):
        order = list(enumerate(sides))
        for place, side in order[turn % len(order) :] + order[: turn % len(order)]:
            start = clock()
            side()
            fewest[place] = min(fewest[place], clock() - start)
    return fewest
