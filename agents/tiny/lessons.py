"""What the warm-up teaches with: conversations about pictures, as tokens.

A lesson is one conversation of several questions about one picture, in one of three forms:

* ``direct``: the half-size picture, and answers;
* ``request``: the half-size picture, a request, the original, and answers;
* ``full``: the original at once, and answers, as in a protocol of one turn.

Only the first question can be followed by a request, and which form a picture gets has nothing to
do with what is asked: lessons teach how to ask, never when. Questions after the first stand in no
environment; they make more of each picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from agents.models.vlm import VisionLanguageModel
from agents.tiny.teaching import Lesson, Phrases
from agents.tiny.tokenizer import call_turn, direct_turn
from vt_env.pictures import Picture, View
from vt_env.samples import Sample
from vt_env.sources.generated import KINDS, references

Form = Literal["direct", "request", "full"]

QUESTIONS = tuple({kind.question: kind for kind in KINDS.values()}.values())
"""One kind for each distinct question: a small and a big number are asked for in the same words."""


class Teacher:
    """Writes lessons for a model.

    Args:
        vlm: The model that will read them.
    """

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self.vlm = vlm
        self.phrases = Phrases(vlm)

    def lesson(
        self, sample: Sample, form: Form, order: Sequence[int]
    ) -> tuple[Lesson, tuple[View, View]]:
        """One lesson, and its two views: at half size, and the original.

        Args:
            sample: Of the generated source; only picture and attributes are used.
            form: Of the lesson.
            order: Which of QUESTIONS are asked, in order.
        """
        picture = Picture(sample.image)
        views = picture.shrunk(0.5), picture.original
        counts = [self.vlm.count(view) for view in views]
        first, *further = (QUESTIONS[index] for index in order)
        lesson, begin = Lesson(), int(form == "full")
        lesson.read(self.phrases.opening(first.question, counts[begin]), begin)
        if form == "request":
            lesson.say(self.phrases.said(call_turn()))
            lesson.read(self.phrases.after(None, counts[1]), 1)
        self._answer(lesson, references(first, sample.metadata)[0])
        for kind in further:
            lesson.read(self.phrases.after(kind.question))
            self._answer(lesson, references(kind, sample.metadata)[0])
        return lesson, views

    def _answer(self, lesson: Lesson, answer: str) -> None:
        lesson.say(self.phrases.said(direct_turn(answer)))
