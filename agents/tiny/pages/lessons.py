"""Conversations about pages, as tokens: how to answer and how to ask, never when.

A lesson is one conversation of several questions about one page, in the words of the environment's
own turns, in one of these forms. A page has a lesson of the first, and one of the other two:

* ``zoom``: the half-size page; each question is answered from it, or after a crop around the value;
* ``resize``: the half-size page; every question is answered from it, or, the first after a call,
  from the original;
* ``plain``: no tool; every question is answered from the original.

Which of two ways a question is answered is a fair coin's decision, so print and call have nothing
to do with each other. Questions after the first stand in no environment; they make more of a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from agents.models.qwen import QwenVL
from agents.tiny.pages.dense import Frame, Targets, targets
from agents.tiny.pages.words import (
    RESIZE,
    ZOOM,
    answer_said,
    resize_said,
    zoom_said,
)
from agents.tiny.pages.zoom import GRID, Window, steps, window
from agents.tiny.teaching import Lesson, Phrases, Turn
from vt_env.pictures import Picture, View
from vt_env.regions import Box
from vt_env.sources.pages import KINDS, Entry, Page

Form = Literal["zoom", "resize", "plain"]
FORMS: tuple[tuple[Form, ...], ...] = (("zoom",), ("resize", "plain"))
"""Of a page's lessons: each is of one of these, at random."""
GUESS = 0.25
"""Weight of answers that cannot be read: small print from the half-size page."""
BOX = 6.0
"""Weight of a call's words after the thought: there are fewer of them than of answers."""
JITTER = 0.1
"""Share of a crop's edges that stand one step of the grid away from where they belong."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One page, ready to be learnt from.

    Attributes:
        views: The original, the half size, and a crop for each of some entries.
        truth: What the dense heads should say of each view.
        lessons: One for each of :data:`FORMS`.
        forms: Their forms.
    """

    views: list[View]
    truth: list[Targets]
    lessons: list[Lesson]
    forms: list[Form]


class Teacher:
    """Writes lessons for a model.

    Args:
        vlm: The model that will read them.
    """

    def __init__(self, vlm: QwenVL) -> None:
        self.vlm = vlm
        self.phrases = Phrases(vlm)

    def prepare(self, page: Page, rng: np.random.Generator, crops: int | None = None) -> Prepared:
        """A page's views and lessons.

        Args:
            page: Of forms or receipts.
            rng: Where every choice comes from.
            crops: How many entries get a crop, and no lessons are written; ``None``: all, with
                lessons.
        """
        picture = Picture(page.pixels)
        views = [picture.original, picture.shrunk(0.5)]
        truth = [
            targets(page, Frame(0, 0, scale, scale, *self._grid(view)))
            for view, scale in zip(views, (1.0, 0.5), strict=True)
        ]
        for index in (
            rng.permutation(len(page.entries))[:crops] if crops else range(len(page.entries))
        ):
            view, seen = self._crop(page, picture, int(index), rng)
            views.append(view)
            truth.append(seen)
        if crops is not None:
            return Prepared(views, truth, [], [])
        counts = [self.vlm.count(view) for view in views]
        forms: list[Form] = [choice[rng.integers(len(choice))] for choice in FORMS]
        lessons = [self._lesson(form, page, counts, rng) for form in forms]
        return Prepared(views, truth, lessons, forms)

    def _grid(self, view: View) -> tuple[int, int]:
        rows, columns = self.vlm.grid(view)
        return columns, rows

    def _crop(
        self, page: Page, picture: Picture, index: int, rng: np.random.Generator
    ) -> tuple[View, Targets]:
        """The part of a page around an entry, as the model will see it."""
        high, wide = page.pixels.shape[:2]
        value = page.entries[index].value.box
        box = jittered(window(value, wide, high), value, wide, high, rng)
        cut = picture.original.image.crop(box)
        size = self.vlm.counter.resized(*cut.size)
        if size != cut.size:
            cut = cut.resize(size, Image.Resampling.BICUBIC)
        view = View(cut, "original")
        scales = size[0] / (box[2] - box[0]), size[1] / (box[3] - box[1])
        return view, targets(page, Frame(box[0], box[1], *scales, *self._grid(view), index))

    def _lesson(
        self, form: Form, page: Page, counts: Sequence[int], rng: np.random.Generator
    ) -> Lesson:
        lesson, phrases = Lesson(), self.phrases
        tool = {"zoom": ZOOM, "resize": RESIZE, "plain": ""}[form]
        sight = 0 if form == "plain" else 1
        for place, index in enumerate(rng.permutation(len(page.entries)).tolist()):
            entry = page.entries[index]
            wordings = KINDS[page.kind].wordings
            question = wordings[rng.integers(len(wordings))].format(*entry.names)
            if place == 0:
                lesson.read(phrases.opening(question, counts[sight], tool), sight)
            else:
                lesson.read(phrases.after(question))
            what = ("full", "half")[sight]
            if form == "zoom" and rng.random() < 0.5:
                self._say(lesson, zoom_turn(page, entry), "box", entry.print)
                lesson.read(phrases.after(None, counts[2 + index]), 2 + index)
                what = "crop"
            elif form == "resize" and place == 0 and rng.random() < 0.5:
                self._say(lesson, resize_said(), "", entry.print)
                lesson.read(phrases.after(None, counts[0]), 0)
                sight, what = 0, "full"
            self._say(lesson, answer_said(entry.value.words), what, entry.print)
        return lesson

    def _say(self, lesson: Lesson, text: str, what: str, print: str) -> None:
        """A turn; ``what`` is ``half``, ``full`` or ``crop`` for an answer read there, or ``box``.

        The thought before an answer or a box is not among the tokens that are looked at.
        """
        begin = len(lesson.ids)
        guessed = (what, print) == ("half", "small")
        weight = BOX if what == "box" else GUESS if guessed else 1.0
        lesson.say(self.phrases.said(text), weight)
        if what:
            lesson.turns.append(Turn(what, print, begin + 1, len(lesson.ids)))


def zoom_turn(page: Page, entry: Entry) -> str:
    """The turn that asks for the part of the page around an entry's value."""
    high, wide = page.pixels.shape[:2]
    around = window(entry.value.box, wide, high)
    return zoom_said(steps(around, wide, high), entry.names[0])


def jittered(around: Window, value: Box, wide: int, high: int, rng: np.random.Generator) -> Window:
    """A window some of whose edges stand a step of the grid away, as a policy's may.

    No edge goes through the value, which could not be read then.
    """
    moves = rng.integers(-1, 2, 4) * (rng.random(4) < JITTER) * GRID
    left, top, right, bottom = (int(v) for v in np.add(around, moves))
    return (
        max(0, left) if left <= value.left else around[0],
        max(0, top) if top <= value.top else around[1],
        min(wide, right) if right >= value.right else around[2],
        min(high, bottom) if bottom >= value.bottom else around[3],
    )
