"""The environment as TRL takes it: one object a rollout, whose public methods are tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from vt_env.dialogue import Dialogue
from vt_env.errors import VisionThinkError
from vt_env.marks import safe
from vt_env.task import Task

NO_BUDGET = (
    "TRL asks for another turn after every call, so it cannot end a rollout at max_pictures or "
    "max_visual_tokens: raise the budget, or choose another trainer"
)
"""Why a rollout that a call took over a budget before its last turn cannot be played."""


class VisionThink:
    """One rollout at a time: ``reset`` asks the question, and ``call`` answers calls.

    Attributes:
        dialogue: The dialogue in progress; its last turn is taken by the scoring.
        failure: Why it cannot go on. TRL would tell it to the policy; the scoring raises it.

    Args:
        begin: Opens a dialogue about a sample.
    """

    def __init__(self, begin: Callable[[str], Dialogue]) -> None:
        self._begin = begin
        self.dialogue: Dialogue | None = None
        self.failure: Exception | None = None

    def reset(self, sample_id: str, **_: Any) -> list[dict[str, Any]]:
        """Ask a question.

        Args:
            sample_id: Whose.
            **_: The other columns of the row.

        Returns:
            The question and the first look, for the end of the row's prompt.

        Raises:
            PictureError: If the picture is refused.
        """
        self.failure = None
        self.dialogue = self._begin(sample_id)
        return self._content()

    def call(self, turn: str) -> list[dict[str, Any]]:
        """Carry out what a turn calls, or say why not.

        Args:
            turn: The whole turn.
        """
        assert self.dialogue is not None
        try:
            self.dialogue.apply(turn)
            if self.dialogue.done:
                if self.dialogue.over:
                    raise RuntimeError(f"{self.dialogue.over}: {NO_BUDGET}")
                raise RuntimeError(
                    "the dialogue is over: max_tool_calling_iterations must be the protocol's "
                    "max_turns - 1"
                )
        except (VisionThinkError, RuntimeError) as error:
            self.failure = error
            raise
        return self._content()

    def _content(self) -> list[dict[str, Any]]:
        """What the environment said last, with its pictures."""
        assert self.dialogue is not None
        views = iter(self.dialogue.new_views)
        blocks = safe(self.dialogue.messages[-1]["content"])
        return [{**b, "image": next(views).image} if b["type"] == "image" else b for b in blocks]


def opener(task: Task) -> Callable[[str], Dialogue]:
    """Opens dialogues by a sample's id; siblings, which come one after the other, share a picture.

    Raises:
        PictureError: If the picture is refused, when it is called.
    """

    @lru_cache(maxsize=1)
    def first(sample_id: str) -> Dialogue:
        return task.begin(task.source.by_id(sample_id))[0]

    places: Counter[str] = Counter()

    def begin(sample_id: str) -> Dialogue:
        known = first(sample_id)
        place = places[sample_id]
        places.clear()  # those of another sample are over
        places[sample_id] = place + 1
        return Dialogue(known.protocol, known.sample, known.pictures, place)

    return begin
