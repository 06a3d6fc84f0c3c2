"""What a benchmark measured, and what it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A number and what it should be.

    Attributes:
        what: In words.
        measured: A ratio.
        limit: What it is held against.
        least: Whether it may not be below the limit; else it may not be above.
    """

    what: str
    measured: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        """Whether it is as it should be."""
        return self.measured >= self.limit if self.least else self.measured <= self.limit

    def __str__(self) -> str:
        word = "at least" if self.least else "at most"
        missed = "" if self.met else "   MISSED"
        return f"{self.what:<64} {self.measured:6.2f}  {word} {self.limit:.2f}{missed}"
