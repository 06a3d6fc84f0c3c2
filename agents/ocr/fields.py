"""A value beside its label, or where the row and the column that are asked for meet.

Coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from agents.answerers import Guess
from agents.ocr.charts import SAME_NAME, mention
from agents.ocr.layout import doubtful, same_row
from agents.ocr.reader import Word

_LOWER, _WITHIN = 0.35, 1.25
"""How much lower than its label's middle that of a value lies on the average, and how far from
there at most, over the label's height: on a form a value stands anywhere in its row."""
_DOWN = 8
"""A pixel down parts a value from a label as much as so many pixels across: rows are narrower than
columns."""
_NUMBERED = re.compile(r"(\D+)(\d\S*)")
_CAPITALS = re.compile(r"\b[A-Z]{2,}\b")


@dataclass(frozen=True, slots=True)
class Named:
    """A label that a question names, and how alike both are, 0 to 1."""

    word: Word
    likeness: float


def value_of(question: str, words: Sequence[Word]) -> Guess | None:
    """The value of the field, or of the cell of a table, that the question names.

    Returns:
        ``None`` where nothing of the kind is named or found, as on a chart. A question with two
        names in capitals is about a cell, and has no other answer.
    """
    words = [piece for word in words for piece in pieces(word)]
    labels, names = _named(question, words), set(_CAPITALS.findall(question))
    found = _cell(labels, words) if len(labels) >= len(names) else None
    if len(names) > 1:
        return found or Guess.nothing("value of these names")
    return found or _field(labels, words)


def _cell(labels: Sequence[Named], words: Sequence[Word]) -> Guess | None:
    for row, head in permutations(labels, 2):
        if value := _crossing(row.word, head.word, words):
            return _guess(value, row, head)
    return None


def _field(labels: Sequence[Named], words: Sequence[Word]) -> Guess | None:
    for label in labels:
        if value := _beside(label.word, words):
            return _guess(value, label)
    return None


def _guess(value: Word, *labels: Named) -> Guess:
    read = [*(label.word for label in labels), value]
    trust = min(w.confidence for w in read) * min(label.likeness for label in labels)
    how = f"It stands at {' and '.join(repr(label.word.text) for label in labels)}."
    return Guess(value.text, trust, how, where=doubtful(read))


def pieces(word: Word) -> list[Word]:
    """A run of text cut where a label ends and its value begins, and between numbers."""
    text = word.text
    if not _is_label(word):
        spans = [match.span() for match in re.finditer(r"\S+", text)]
    elif numbered := _NUMBERED.fullmatch(text):
        spans = [numbered.span(1), numbered.span(2)]
    else:
        return [word]
    left, top, right, bottom = word.box
    step = (right - left) / max(1, len(text))
    return [
        replace(
            word, text=text[a:b].strip(" :"), box=(left + a * step, top, left + b * step, bottom)
        )
        for a, b in spans
    ]


def _named(question: str, words: Sequence[Word]) -> list[Named]:
    """The labels that a question names, the most alike for each of its words."""
    found = [(mention(w.text, question), w) for w in words if _is_label(w)]
    taken: set[int] = set()
    named: list[Named] = []
    for (likeness, places), word in sorted(found, key=lambda f: -f[0][0]):
        if likeness >= SAME_NAME and not taken & set(places):
            named.append(Named(word, likeness))
            taken |= set(places)
    return named


def _is_label(word: Word) -> bool:
    return any(c.isalpha() for c in word.text)


def _is_value(word: Word) -> bool:
    return not _is_label(word) and any(c.isdigit() for c in word.text)


def _off(label: Word, value: Word) -> float:
    """How far a value is from the height at which a label's values stand, in pixels."""
    return abs(value.center[1] - label.center[1] - _LOWER * label.height)


def _on_line(label: Word, words: Sequence[Word]) -> list[Word]:
    """The values to the right of a label and about as high, nearest first."""
    found = [
        w
        for w in words
        if _is_value(w) and w.box[0] > label.center[0] and _off(label, w) < _WITHIN * label.height
    ]
    return sorted(found, key=lambda w: w.box[0])


def _beside(label: Word, words: Sequence[Word]) -> Word | None:
    """The nearest value that belongs to a label and to no other."""
    labels = [w for w in words if _is_label(w)]
    for value in _on_line(label, words):
        left = [w for w in labels if w.center[0] < value.box[0]]
        owner = min(left, key=lambda w: max(0.0, value.box[0] - w.box[2]) + _DOWN * _off(w, value))
        if owner is label:
            return value
    return None


def _crossing(row: Word, head: Word, words: Sequence[Word]) -> Word | None:
    """The value on the line of one label and below another: nearer to it than to its neighbours."""
    heads = [w for w in words if same_row(w, head)]
    for value in _on_line(row, words):
        nearest = min(heads, key=lambda w: abs(w.center[0] - value.center[0]))
        if nearest is head and value.center[1] > head.center[1]:
            return value
    return None
