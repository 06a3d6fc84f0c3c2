"""Answers to questions about bar and line charts whose numbers are printed.

Coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agents.answerers import Guess
from agents.ocr.bars import bars, is_number, mended, number_format, usual_format
from agents.ocr.layout import doubtful
from agents.ocr.reader import Word

SAME_NAME = 0.75
"""Names at least this alike are the same; a misread letter in a short name must not hide it."""


def value_of(question: str, words: Sequence[Word]) -> Guess:
    """The number at the bar that the question names."""
    found, share = bars(words)
    if not found:
        return Guess.nothing("bar")
    scored = [(mention(bar.label.text, question)[0], len(bar.label.text), bar) for bar in found]
    score, _, bar = max(scored, key=lambda s: s[:2])
    if score < SAME_NAME:
        return Guess.nothing("bar of that name")
    usual = number_format(bar.value.text) == usual_format(found)
    trust = bar.confidence * score * (0.9 + 0.1 * share) * (1.0 if usual else 0.7)
    how = f"The number at {bar.label.text!r}."
    return Guess(bar.value.text, trust, how, where=doubtful([bar.label, bar.value]))


def extreme(words: Sequence[Word], highest: bool) -> Guess:
    """The category whose number is the largest or the smallest; a missing bar costs trust."""
    found, share = bars(words)
    if len(found) < 2:
        return Guess.nothing("row of bars")
    usual = usual_format(found)
    alike = [bar for bar in found if number_format(bar.value.text) == usual] or found
    bar = (max if highest else min)(alike, key=lambda b: b.number)
    read = min(b.confidence for b in alike)
    kind = "largest" if highest else "smallest"
    how = f"{bar.value.text} is the {kind} of {len(found)} numbers."
    name = bar.label.text.strip(" -–|") or bar.label.text
    where = doubtful([word for b in found for word in (b.label, b.value)])
    return Guess(name, read * share, how, where=where)


def line_end(name: str, words: Sequence[Word], image: NDArray[np.uint8] | None) -> Guess:
    """The number printed at the right end of the line that the legend calls ``name``.

    The line is found by colour: that of the sample beside its name in the legend, and that just
    left of the number.

    Args:
        name: As the question puts it.
        words: All words of the chart.
        image: Its pixels, uint8 [H, W, 3]; without them there is nothing to go by.
    """
    words = mended(words)
    ends = _right_ends(words)
    names = [(mention(w.text, name)[0], w) for w in words if not is_number(w)]
    score, legend = max(names, key=lambda s: s[0], default=(0.0, None))
    if not ends or legend is None or image is None or score < SAME_NAME:
        return Guess.nothing("such line")
    wanted = _color_before(legend, image)
    gaps = [float(np.abs(_color_before(end, image) - wanted).sum()) for end in ends]
    gap, word = min(zip(gaps, ends, strict=True), key=lambda s: s[0])
    others = [number_format(end.text) for end in ends if end is not word]
    clear = sum(gap >= 0.5 * other for other in gaps) == 1
    usual = number_format(word.text) in others
    trust = score * min(legend.confidence, word.confidence)
    trust *= (1.0 if clear else 0.6) * (1.0 if usual else 0.8)
    how = f"It ends the line of the colour of {legend.text!r}."
    return Guess(word.text, trust, how, where=doubtful([legend, word]))


def _right_ends(words: Sequence[Word]) -> list[Word]:
    """The numbers at the right edge, without those of the lowest row, which belong to the axis."""
    numbers = [w for w in words if is_number(w)]
    right = max((w.box[2] for w in words), default=0.0)
    lowest = max((w.center[1] for w in words), default=0.0)
    edge = [w for w in numbers if right - w.box[2] < 1.5 * (w.box[2] - w.box[0])]
    return [w for w in edge if lowest - w.center[1] > w.height]


def mention(label: str, question: str) -> tuple[float, range]:
    """How well a label matches some words of the question, 0 to 1, and which; case aside."""
    sought = re.findall(r"\w+", label.lower())
    given = re.findall(r"\w+", question.lower())
    name = " ".join(sought)
    spans = [range(i, i + len(sought)) for i in range(len(given) - len(sought) + 1)]
    ratios = [
        (difflib.SequenceMatcher(None, name, " ".join(given[i] for i in span)).ratio(), span)
        for span in spans
    ]
    return max(ratios, key=lambda r: r[0], default=(0.0, range(0))) if sought else (0.0, range(0))


def _color_before(word: Word, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The most saturated colour left of a word, within four times its height: float [3]."""
    height, width = image.shape[:2]
    x0, y0 = min(round(word.box[0]), width), min(round(word.box[1]), height - 1)
    left, bottom = max(0, x0 - max(4, round(4 * word.height))), max(y0 + 1, round(word.box[3]))
    colors = image[y0:bottom, left : max(left + 1, x0)].reshape(-1, 3).astype(np.float64)
    spread = colors.max(axis=1) - colors.min(axis=1)
    return np.median(colors[spread >= 0.8 * spread.max()], axis=0)
