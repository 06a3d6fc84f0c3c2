"""Where words lie relative to each other.

Coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agents.ocr.reader import Word
from vt_env.regions import Box

SURE = 0.9
"""What was read with less confidence is doubtful. Chosen on 92 questions about scanned receipts and
drawn charts, a development set that is not in the repository; 0.85 to 0.92 differ there by two."""


def same_row(a: Word, b: Word) -> bool:
    """Whether two words stand on one line of text; slightly tilted lines count."""
    return abs(a.center[1] - b.center[1]) < 0.55 * min(a.height, b.height)


def right_of(word: Word, words: Sequence[Word]) -> list[Word]:
    """The words on the same row that start to the right of a word's centre, nearest first."""
    found = [w for w in words if w is not word and same_row(word, w) and w.box[0] > word.center[0]]
    return sorted(found, key=lambda w: w.box[0])


def below(word: Word, words: Sequence[Word]) -> list[Word]:
    """The words in a word's column and under it by up to two lines, nearest first."""
    found = [
        w
        for w in words
        if w.box[0] < word.box[2]
        and w.box[2] > word.box[0]
        and 0.5 * word.height < w.center[1] - word.center[1] < 2.5 * word.height
    ]
    return sorted(found, key=lambda w: w.center[1])


def rows(words: Sequence[Word]) -> list[list[Word]]:
    """Words grouped into lines of text, from top to bottom and each from left to right."""
    grouped: list[list[Word]] = []
    for word in sorted(words, key=lambda w: w.center[1]):
        if grouped and same_row(grouped[-1][-1], word):
            grouped[-1].append(word)
        else:
            grouped.append([word])
    return [sorted(row, key=lambda w: w.box[0]) for row in grouped]


def cluster(words: Sequence[Word], at: Callable[[Word], float], gap: float) -> list[list[Word]]:
    """Words whose positions form a chain without a gap of ``gap`` pixels or more.

    Args:
        words: Any words.
        at: A word's position along the axis of interest, in pixels.
        gap: In pixels.
    """
    chains: list[list[Word]] = []
    for word in sorted(words, key=at):
        if chains and at(word) - at(chains[-1][-1]) < gap:
            chains[-1].append(word)
        else:
            chains.append([word])
    return chains


def doubtful(words: Sequence[Word]) -> Box | None:
    """The box, a little widened, around those words that were read badly, or else around all."""
    found = [w for w in words if w.confidence < SURE] or words
    if not found:
        return None
    left, top, right, bottom = zip(*(w.box for w in found), strict=True)
    margin = max(w.height for w in found) / 2
    return Box(min(left), min(top), max(right), max(bottom)).widened(margin, margin)
