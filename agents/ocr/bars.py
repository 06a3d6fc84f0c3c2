"""Finds the bars of a bar chart whose numbers are printed.

Coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from agents.ocr.layout import cluster, right_of, same_row
from agents.ocr.reader import Word

_MISREAD = re.compile(r"\d{1,3}\.\d{3}")
_NUMBER = re.compile(r"[-−]?\d{1,3}(?:,\d{3})+(?:\.\d+)?|[-−]?\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar's two words."""

    label: Word
    value: Word

    @property
    def number(self) -> float:
        """The value as a number."""
        return float(self.value.text.replace(",", "").replace("−", "-"))

    @property
    def confidence(self) -> float:
        """How well both words were read."""
        return min(self.label.confidence, self.value.confidence)


def bars(words: Sequence[Word]) -> tuple[list[Bar], float]:
    """A bar chart's bars, and how complete and consistent they look.

    Returns:
        The bars in reading order, and a share of 0 to 1: bars that were found over bars that the
        regular spacing leads to expect, lower where the numbers are not of one format.
    """
    words = mended(words)
    lying, standing = _lying(words), _standing(words)
    found, positions = lying if len(lying[0]) >= len(standing[0]) else standing
    if not found:
        return [], 0.0
    usual = usual_format(found)
    alike = sum(number_format(bar.value.text) == usual for bar in found) / len(found)
    return found, min(1.0, len(found) / max(1, _expected(positions))) * alike


def mended(words: Sequence[Word]) -> list[Word]:
    """Words with ``7.690`` read as ``7,690`` where other numbers, the axis' say, reach thousands.

    A comma of two pixels is easily read as a point; such a number is trusted less.
    """
    if not any(re.fullmatch(r"\d{4,}|\d{1,3},\d{3}", w.text) for w in words):
        return list(words)
    return [
        Word(w.text.replace(".", ","), 0.85 * w.confidence, w.box)
        if _MISREAD.fullmatch(w.text)
        else w
        for w in words
    ]


def is_number(word: Word) -> bool:
    """Whether a word is a number and nothing else."""
    return _NUMBER.fullmatch(word.text) is not None


def number_format(text: str) -> tuple[bool, int]:
    """Whether a number groups its thousands, and its count of decimals."""
    return "," in text, len(text.rpartition(".")[2]) if "." in text else 0


def usual_format(found: Sequence[Bar]) -> tuple[bool, int]:
    """The format that most of the bars' numbers have."""
    formats = [number_format(bar.value.text) for bar in found]
    return max(formats, key=formats.count)


def _lying(words: Sequence[Word]) -> tuple[list[Bar], list[float]]:
    """Bars to the right: a name, and a number on the same row."""
    numbers = [w for w in words if is_number(w)]
    names = [w for w in words if not is_number(w) and any(c.isalpha() for c in w.text)]
    found = [Bar(n, on_row[0]) for n in names if (on_row := right_of(n, numbers))]
    labels = [w for w in names if any(_aligned(w, bar.label) for bar in found)]
    values = [w for w in numbers if not any(same_row(w, n) for n in labels)]
    column = min((bar.value.box[0] for bar in found), default=0.0)
    loose = [w for w in values if w.box[0] >= column and not _is_tick(w, numbers)]
    return found, [w.center[1] for w in labels + loose]


def _aligned(a: Word, b: Word) -> bool:
    """Whether two words end in one column, as the labels of an axis do."""
    return abs(a.box[2] - b.box[2]) < a.height


def _is_tick(word: Word, numbers: Sequence[Word]) -> bool:
    """Whether three or more numbers share the row, as the marks of an axis do."""
    return sum(same_row(word, other) for other in numbers) >= 3


def _standing(words: Sequence[Word]) -> tuple[list[Bar], list[float]]:
    """Bars upwards: the lowest row of three or more words, and a number above each."""
    by_row = cluster(words, lambda w: w.center[1], median([w.height for w in words] or [1]) / 3)
    base = next((row for row in reversed(by_row) if len(row) >= 3), [])
    if not base:
        return [], []
    numbers = [w for w in words if is_number(w)]
    base = sorted(base, key=lambda w: w.center[0])
    places = [w.center[0] for w in base]
    half = 0.35 * median(b - a for a, b in pairwise(places))
    found: list[Bar] = []
    for label in base:
        column = [w for w in numbers if abs(w.center[0] - label.center[0]) < half]
        above = [w for w in column if w.center[1] < label.center[1] - 0.5 * label.height]
        if above:
            found.append(Bar(label, max(above, key=lambda w: w.center[1])))
    return found, places


def _expected(positions: Sequence[float]) -> int:
    """How many regular places lie between the first and the last position, both counted."""
    places = sorted(positions)
    steps = [b - a for a, b in pairwise(places) if b - a > 2]
    if not steps:
        return len(places)
    return round((places[-1] - places[0]) / median(steps)) + 1
