"""What all lessons have in common: phrases as tokens, conversations of them, and batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import torch

from agents.models.vlm import VisionLanguageModel
from vt_env.pictures import View
from vt_env.prompts import load_prompt


class Phrases:
    """What is said in lessons, in tokens; each phrase is tokenised once.

    Args:
        vlm: The model that will read them.
    """

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self._vlm = vlm
        self._prompt = load_prompt("tiny")
        self.opening = cache(self._opening)
        self.after = cache(self._after)
        self.said = cache(self._said)

    def _opening(self, question: str, tokens: int, tool: str = "") -> tuple[int, ...]:
        """The first question, about a picture of so many visual tokens, and which tool there is."""
        messages = [
            {"role": "system", "content": tool},
            {"role": "user", "content": self._prompt.question_blocks(question)},
        ]
        return tuple(self._vlm.chat.opening(messages, [tokens]))

    def _after(self, question: str | None, tokens: int = 0) -> tuple[int, ...]:
        """A further question about the same picture, or the answer to a call."""
        blocks = self._prompt.result_blocks()
        if question is not None:
            blocks = [{"type": "text", "text": question}]
        messages = [{"role": "assistant", "content": ""}, {"role": "user", "content": blocks}]
        ids = self._vlm.chat.continuation(messages, [] if question else [tokens])
        return tuple(ids[1:])  # the policy ends its turn itself

    def _said(self, turn: str) -> tuple[int, ...]:
        """A turn of the policy's."""
        tokenizer = self._vlm.tokenizer
        return (*tokenizer.encode(turn, add_special_tokens=False), tokenizer.eos_token_id)


@dataclass(frozen=True, slots=True)
class Turn:
    """Where something that the policy should say stands in a lesson.

    Attributes:
        what: What is said, e.g. an answer read from the original.
        print: Of the value.
        begin: First of its tokens.
        end: Beyond the last.
    """

    what: str
    print: str
    begin: int
    end: int


@dataclass(slots=True)
class Lesson:
    """One conversation.

    Attributes:
        ids: Its tokens.
        weights: Of each token in the loss; 0 for what the policy does not say.
        shown: Its pictures in order, as indices into its views.
        turns: What it should say, where that is looked at turn by turn.
    """

    ids: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    def read(self, ids: Sequence[int], view: int | None = None) -> None:
        """Go on with what the policy reads, which may show a view."""
        self.ids.extend(ids)
        self.weights.extend([0.0] * len(ids))
        if view is not None:
            self.shown.append(view)

    def say(self, ids: Sequence[int], weight: float = 1.0) -> None:
        """Go on with what it says; the weight is that of all but the first token."""
        self.ids.extend(ids)
        self.weights.extend([1.0, *[weight] * (len(ids) - 1)])


@dataclass(frozen=True, slots=True)
class Batch:
    """Lessons as tensors.

    Attributes:
        ids: int64 [lessons, columns], padded on the right.
        positions: int64 [3, lessons, columns].
        weights: float32 [lessons, columns].
        shown: Pictures in the order of the sequences, as indices into the views of all lessons.
        turns: Of each lesson.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    weights: torch.Tensor
    shown: list[int]
    turns: list[list[Turn]]


def collate(
    vlm: VisionLanguageModel, lessons: Sequence[Lesson], views: Sequence[Sequence[View]]
) -> Batch:
    """Lessons, each with the views that it may show.

    Args:
        vlm: The model that will read them.
        lessons: One or more.
        views: Of each lesson; all of them stand one lesson after the other.
    """
    columns = max(len(lesson.ids) for lesson in lessons)
    ids = torch.full((len(lessons), columns), vlm.tokenizer.pad_token_id)
    positions = torch.zeros(3, len(lessons), columns, dtype=torch.int64)
    weights = torch.zeros(len(lessons), columns)
    shown: list[int] = []
    first = 0
    for row, (lesson, own) in enumerate(zip(lessons, views, strict=True)):
        length = len(lesson.ids)
        ids[row, :length] = torch.tensor(lesson.ids)
        weights[row, :length] = torch.tensor(lesson.weights)
        where, _ = vlm.positions(lesson.ids, [own[view] for view in lesson.shown])
        positions[:, row, :length] = torch.from_numpy(where)
        shown.extend(first + view for view in lesson.shown)
        first += len(own)
    return Batch(ids, positions, weights, shown, [lesson.turns for lesson in lessons])
