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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import torch

from agents.models.vlm import VisionLanguageModel
from agents.tiny.tokenizer import call_turn, direct_turn
from vt_env.pictures import Picture, View
from vt_env.prompts import load_prompt
from vt_env.samples import Sample
from vt_env.sources.generated import KINDS, references

Form = Literal["direct", "request", "full"]
Piece = tuple[tuple[int, ...], bool]
"""Tokens, and whether the policy says them."""

QUESTIONS = tuple({kind.question: kind for kind in KINDS.values()}.values())
"""One kind for each distinct question: a small and a big number are asked for in the same words."""


@dataclass(frozen=True, slots=True)
class LessonBatch:
    """Lessons as tensors.

    Attributes:
        ids: int64 [lessons, columns], padded on the right.
        positions: int64 [3, lessons, columns].
        said: Tokens that the policy says: bool [lessons, columns].
        half: The half-size views, one a lesson.
        full: The originals, one a lesson.
        shown: Pictures in the order of the sequences, as indices into ``half + full``.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    said: torch.Tensor
    half: Sequence[View]
    full: Sequence[View]
    shown: Sequence[int]


class Teacher:
    """Writes lessons for a model.

    Args:
        vlm: The model that will read them.
    """

    def __init__(self, vlm: VisionLanguageModel) -> None:
        self.vlm = vlm
        self.prompt = load_prompt("tiny")
        self._opening = cache(self._make_opening)
        self._after = cache(self._make_after)
        self._said = cache(self._make_said)

    def lessons(
        self, samples: Sequence[Sample], forms: Sequence[Form], orders: Sequence[Sequence[int]]
    ) -> LessonBatch:
        """One lesson for each sample.

        Args:
            samples: Of the generated source; only picture and attributes are used.
            forms: One each.
            orders: Which of QUESTIONS are asked, in order.
        """
        half, full = [], []
        ids: list[list[int]] = []
        said: list[list[bool]] = []
        where: list[np.ndarray] = []
        shown: list[int] = []
        for row, (sample, form, order) in enumerate(zip(samples, forms, orders, strict=True)):
            picture = Picture(sample.image)
            half.append(picture.shrunk(0.5))
            full.append(picture.original)
            pieces = self._pieces(form, order, sample.metadata, (half[-1], full[-1]))
            ids.append([token for tokens, _ in pieces for token in tokens])
            said.append([by for tokens, by in pieces for _ in tokens])
            seen = {"direct": (0,), "request": (0, 1), "full": (1,)}[form]
            shown.extend(row + len(samples) * which for which in seen)
            views = [(half[-1], full[-1])[which] for which in seen]
            where.append(self.vlm.positions(ids[-1], views)[0])
        columns = max(map(len, ids))
        made = torch.full((len(ids), columns), self.vlm.tokenizer.pad_token_id)
        at = torch.zeros(3, len(ids), columns, dtype=torch.int64)
        spoken = torch.zeros(len(ids), columns, dtype=torch.bool)
        for row, tokens in enumerate(ids):
            made[row, : len(tokens)] = torch.tensor(tokens)
            at[:, row, : len(tokens)] = torch.from_numpy(where[row])
            spoken[row, : len(tokens)] = torch.tensor(said[row])
        return LessonBatch(made, at, spoken, half, full, shown)

    def _pieces(
        self,
        form: Form,
        order: Sequence[int],
        attributes: Mapping[str, Any],
        views: tuple[View, View],
    ) -> list[Piece]:
        """One lesson in pieces."""
        half, full = map(self.vlm.count, views)
        pieces: list[Piece] = []
        for place, index in enumerate(order):
            kind = QUESTIONS[index]
            if place == 0:
                first = full if form == "full" else half
                pieces.append((self._opening(kind.question, first), False))
                if form == "request":
                    pieces.append((self._said(call_turn()), True))
                    pieces.append((self._after(None, full), False))
            else:
                pieces.append((self._after(kind.question, 0), False))
            pieces.append((self._said(direct_turn(references(kind, attributes)[0])), True))
        return pieces

    def _make_opening(self, question: str, tokens: int) -> tuple[int, ...]:
        messages = [{"role": "user", "content": self.prompt.question_blocks(question)}]
        return tuple(self.vlm.chat.opening(messages, [tokens]))

    def _make_after(self, question: str | None, tokens: int) -> tuple[int, ...]:
        """A further question about the same picture, or the answer to a call."""
        blocks = self.prompt.result_blocks()
        if question is not None:
            blocks = [{"type": "text", "text": question}]
        messages = [{"role": "assistant", "content": ""}, {"role": "user", "content": blocks}]
        ids = self.vlm.chat.continuation(messages, [] if question else [tokens])
        return tuple(ids[1:])  # the policy ends its turn itself

    def _make_said(self, turn: str) -> tuple[int, ...]:
        tokenizer = self.vlm.tokenizer
        return (*tokenizer.encode(turn, add_special_tokens=False), tokenizer.eos_token_id)
