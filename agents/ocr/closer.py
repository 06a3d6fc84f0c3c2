"""What a closer look changes: the words of a part stand in the place of those read before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from agents.ocr.reader import Word
from vt_env.pictures import View
from vt_env.regions import Box, frame


def is_whole(view: View) -> bool:
    """Whether a view shows a picture and no part of one."""
    return view.region is None or view.region.share > 0.99


def closer(words: Sequence[Word], view: View, read: Sequence[Word], part: View) -> list[Word]:
    """The words of a view, with those of a part of its picture in the place of what they cover.

    A word of which the part shows one end only stays as it was read on the view.

    Args:
        words: Of the view, in its pixels.
        view: What is read.
        read: The words of the part, in the part's pixels.
        part: What was looked at closer.
    """
    if part.region is None or view.region is None or part.region.picture != view.region.picture:
        return list(words)
    there = frame("view", part.region, part.size)
    here = frame("view", view.region, view.size)
    shown = Box(*here.from_source(there.extent.edges))
    new = [replace(w, box=_four(here.from_source(there.to_source(w.box)))) for w in read]
    cut = [w for w in words if 0 < _covered(w, shown) < 0.9]
    new = [w for w in new if not any(_same(w, end) for end in cut)]
    left = [w for w in words if not any(_same(w, known) for known in new)]
    return sorted([*new, *left], key=lambda w: w.box[1])


def _covered(word: Word, box: Box) -> float:
    own = Box(*word.box)
    return own.within(box).area / own.area if own.area else 0.0


def _same(a: Word, b: Word) -> bool:
    """Whether half of one lies within the other."""
    return max(_covered(a, Box(*b.box)), _covered(b, Box(*a.box))) > 0.5


def _four(numbers: Sequence[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = numbers
    return left, top, right, bottom
