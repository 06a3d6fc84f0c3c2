"""Which part of a page the policy is taught to ask for, and the agent that asks.

A window has edges on a grid of 14 pixels and sides that are whole visual tokens, at least two, so
that the model reads a crop's pixels as they are on the page. Where the page ends within a step of
the grid, or within a token, so does the window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.base import Conversation, Reply
from agents.models.vlm import VisionLanguageModel
from agents.rollout import AgentError
from agents.shipped import PAGES
from agents.tiny.agent import TinyAgent
from agents.tiny.pages.words import (
    BLURRY,
    CLEAR,
    EDGES,
    RESIZE,
    ZOOM,
    resize_said,
    zoom_begun,
    zoom_said,
)
from agents.tiny.tokenizer import TURN_END
from vt_env.regions import Box


class PagesAgent(TinyAgent):
    """The policy that ``vt warmup pages`` makes; the environment's prompt should be ``tiny``.

    Its longest well-formed turn has 10 tokens.

    Args:
        path: Folder of a checkpoint, or the loaded model; without it the one that is shipped.
        dtype: Its weights are kept in bfloat16, which few laptops compute in.
        **settings: As :class:`~agents.tiny.agent.TinyAgent` has them.
    """

    def __init__(
        self,
        path: str | Path | VisionLanguageModel = PAGES,
        *,
        dtype: str = "float32",
        **settings: Any,
    ) -> None:
        super().__init__(path, dtype=dtype, **settings)

    prefixes: Mapping[str, str] = {
        "direct": f"{CLEAR}<answer>",
        "request": BLURRY,
        RESIZE: resize_said(),
        ZOOM: zoom_begun(),
    }


class Pointed:
    """The same policy, whose first turn asks for the part of the page that holds the answer.

    It may look at the truth: samples of the source ``pages`` say where a value stands.

    Args:
        agent: Who reads the part.
    """

    def __init__(self, agent: PagesAgent) -> None:
        self.agent = agent
        self.name = f"{agent.name}, pointed"

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn each; the first is written for the policy."""
        return self.agent.act(conversations, [self._call(c) for c in conversations])

    def _call(self, conversation: Conversation) -> str | None:
        if conversation.turn or conversation.picture is None:
            return None
        wide, high = conversation.picture.size
        sample = conversation.sample
        if sample.answer_box is None:
            raise AgentError(f"sample {sample.id!r} does not say where its answer is")
        around = window(sample.answer_box, wide, high)
        return zoom_said(steps(around, wide, high), sample.metadata["names"][0]) + TURN_END


GRID, TOKEN, LEAST = 14, 28, 56
"""Pixels of the grid of edges, of a visual token, and of a window's side at least."""

Window = tuple[int, int, int, int]
"""Left, top, right and bottom in the page's pixels."""


def window(box: Box, width: int, height: int) -> Window:
    """The window around a box, in the middle as near as the grid and the page's edges allow.

    Args:
        box: In the page's pixels; it is grown to whole ones.
        width: Of the page.
        height: Likewise.
    """
    left, right = _side(math.floor(box.left), math.ceil(box.right), width)
    top, bottom = _side(math.floor(box.top), math.ceil(box.bottom), height)
    return left, top, right, bottom


def _side(begin: int, end: int, most: int) -> tuple[int, int]:
    long = max(LEAST, math.ceil((end - begin + GRID) / TOKEN) * TOKEN)
    if long > most:
        return 0, most
    first = round(((begin + end) / 2 - long / 2) / GRID) * GRID
    first = min(max(0, first), most - long)
    return first, first + long


def steps(around: Window, width: int, height: int) -> list[int]:
    """A window's edges as a call writes them: steps of :data:`~agents.tiny.pages.words.EDGES`."""
    sides = (width, height) * 2
    return [round(edge * EDGES / side) for edge, side in zip(around, sides, strict=True)]
