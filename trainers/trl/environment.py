"""The environment as TRL takes it: one object a rollout, whose public methods are tools."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from trainers.episodes import begun
from vt_env.actions import NoTurn
from vt_env.dialogue import Dialogue
from vt_env.errors import PictureError
from vt_env.marks import safe
from vt_env.task import Task

Begun = tuple[Dialogue, PictureError | None]


class VisionThink:
    """One rollout at a time: ``reset`` asks the question, and ``call`` tells what a call brought.

    TRL reads the turns of a batch in the order in which it asked the questions, and those after
    calls in the order of the calls. So whoever waits in ``speaking`` longest is whose turn it is.

    Attributes:
        dialogue: The dialogue in progress.
        failure: Why it cannot go on. TRL would tell it to the policy; the scoring raises it.
        refused: Why its picture is refused; its first turn then counts for nothing.

    Args:
        begin: Opens a dialogue about a sample, see :func:`trainers.episodes.begun`.
        speaking: The rollouts whose turns are being generated, in order; those of one processor.
    """

    def __init__(
        self, begin: Callable[[str], Begun], speaking: deque[VisionThink] | None = None
    ) -> None:
        self._begin = begin
        self._speaking = deque[VisionThink]() if speaking is None else speaking
        self.dialogue: Dialogue | None = None
        self.failure: Exception | None = None
        self.refused: PictureError | None = None

    def reset(self, sample_id: str, **_: Any) -> list[dict[str, Any]]:
        """Ask a question.

        Args:
            sample_id: Whose.
            **_: The other columns of the row.

        Returns:
            The question and the first look, for the end of the row's prompt.
        """
        self.failure = None
        self.dialogue, self.refused = self._begin(sample_id)
        self._speaking.append(self)
        return self._content()

    def call(self) -> list[dict[str, Any]]:
        """Tell what the calls of the last turn brought, or why they brought nothing."""
        self._speaking.append(self)
        return self._content()

    def _take(self, turn: str) -> bool:
        """Take a whole turn; whether the environment has something to say to it."""
        assert self.dialogue is not None
        try:
            self.dialogue.apply(NoTurn(str(self.refused)) if self.refused else turn)
        except Exception as error:
            self.failure = error
            return False
        return not self.dialogue.done

    def _content(self) -> list[dict[str, Any]]:
        """What the environment said last, with its pictures."""
        assert self.dialogue is not None
        views = iter(self.dialogue.new_views)
        blocks = safe(self.dialogue.messages[-1]["content"])
        return [{**b, "image": next(views).image} if b["type"] == "image" else b for b in blocks]


def opener(task: Task) -> Callable[[str], Begun]:
    """Opens dialogues by a sample's id; siblings, which come one after the other, share a picture.

    Returns:
        Gives a dialogue, and why its picture is refused; see :func:`trainers.episodes.begun`.
    """

    @lru_cache(maxsize=1)
    def first(sample_id: str) -> Begun:
        (dialogue,), refused = begun(task, task.source.by_id(sample_id))
        return dialogue, refused

    places: Counter[str] = Counter()

    def begin(sample_id: str) -> Begun:
        known, refused = first(sample_id)
        place = places[sample_id]
        places.clear()  # those of another sample are over
        places[sample_id] = place + 1
        return Dialogue(known.protocol, known.sample, known.pictures, place), refused

    return begin
