"""Agents whose decision is a rule: the baselines that a trained policy has to beat.

Each asks for the original by its own rule and leaves the answer to an *answerer*, which is the
same for all of them, so that they differ in nothing but when they ask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from agents.answerers import Answerer, Guess, make_answerer
from agents.base import Conversation, Reply, answer_turn, request_turn
from agents.steering import FORCED, Arm
from vt_env.errors import ConfigError
from vt_env.judges import Judge, Query, make_judge
from vt_env.pictures import Picture, View


class ScriptedAgent(ABC):
    """A rule for asking, at most once, and an answerer.

    Args:
        answerer: Who answers: ``ocr``, ``ideal``, or ``auto``, which takes ``ideal`` where a
            sample says what it needs and ``ocr`` elsewhere.
    """

    name = "scripted"

    def __init__(self, answerer: str | Answerer = "auto") -> None:
        self.answerer = make_answerer(answerer)

    @abstractmethod
    def asks(self, conversation: Conversation) -> str | None:
        """Why it asks for the original, or ``None`` if it does not."""

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Ask where the rule says so, else answer."""
        return [Reply(self._turn(conversation)) for conversation in conversations]

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        """Ask or answer as told, and by the rule where nothing is."""
        say = {"request": lambda _: request_turn(FORCED), "direct": self._answer}
        return [
            Reply(say.get(arm or "", self._turn)(conversation))
            for conversation, arm in zip(conversations, arms, strict=True)
        ]

    def _turn(self, conversation: Conversation) -> str:
        may_ask = conversation.can_request and len(conversation.images) == 1
        reason = self.asks(conversation) if may_ask else None
        if reason is not None:
            return request_turn(reason)
        return self._answer(conversation)

    def _answer(self, conversation: Conversation) -> str:
        guess = self.look(conversation, conversation.images[-1])
        return answer_turn(guess.text, guess.how)

    def look(self, conversation: Conversation, view: View) -> Guess:
        """What the answerer makes of a view."""
        return self.answerer.guess(conversation.question, view, conversation.sample)


class Direct(ScriptedAgent):
    """Never asks."""

    name = "direct"

    def asks(self, conversation: Conversation) -> str | None:
        """Never."""
        return None


class Request(ScriptedAgent):
    """Always asks."""

    name = "request"

    def asks(self, conversation: Conversation) -> str | None:
        """Always."""
        return "I always ask for the original."


class Random(ScriptedAgent):
    """Asks with a fixed probability.

    Args:
        p: Probability of asking, in [0, 1].
        answerer: See :class:`ScriptedAgent`.
    """

    name = "random"

    def __init__(self, p: float = 0.5, answerer: str | Answerer = "auto") -> None:
        if not 0 <= float(p) <= 1:
            raise ConfigError(f"p must be between 0 and 1, got {p}")
        super().__init__(answerer)
        self.p = float(p)

    def asks(self, conversation: Conversation) -> str | None:
        """With probability ``p``, drawn from the rollout's own generator."""
        return "A coin told me to ask." if conversation.rng.random() < self.p else None


class SizeThreshold(ScriptedAgent):
    """Asks when the picture is large.

    Args:
        pixels: Asks if the first view has at least this many pixels. The default separates
            photographs of 640 x 480, whose first view has 76,800, from scans.
        answerer: See :class:`ScriptedAgent`.
    """

    name = "size-threshold"

    def __init__(self, pixels: int = 100_000, answerer: str | Answerer = "auto") -> None:
        if int(pixels) < 1:
            raise ConfigError(f"pixels must be at least 1, got {pixels}")
        super().__init__(answerer)
        self.pixels = int(pixels)

    def asks(self, conversation: Conversation) -> str | None:
        """By the size of the first view."""
        width, height = conversation.images[0].size
        if width * height < self.pixels:
            return None
        return f"The image is large: {width} x {height} even when shrunk."


class Confident(ScriptedAgent):
    """Asks when its own answer is doubtful and a closer look could help.

    Args:
        threshold: Answers directly at this confidence or above, in [0, 1].
        answerer: See :class:`ScriptedAgent`.
    """

    name = "confident"

    def __init__(self, threshold: float = 0.5, answerer: str | Answerer = "auto") -> None:
        if not 0 <= float(threshold) <= 1:
            raise ConfigError(f"threshold must be between 0 and 1, got {threshold}")
        super().__init__(answerer)
        self.threshold = float(threshold)

    def asks(self, conversation: Conversation) -> str | None:
        """By the answerer's confidence."""
        guess = self.look(conversation, conversation.images[-1])
        if guess.confidence >= self.threshold or not guess.sharper_helps:
            return None
        return f"{guess.how} I am {guess.confidence:.0%} sure, which is too little."


class Oracle(ScriptedAgent):
    """Asks only where it pays: where the answer is wrong without and right with the original.

    It reads the references, so it is no policy: it is the bound that any policy with the same
    answerer can reach.

    Args:
        judge: Who decides what is right.
        answerer: See :class:`ScriptedAgent`.
    """

    name = "oracle"

    def __init__(self, judge: str | Judge = "auto", answerer: str | Answerer = "auto") -> None:
        super().__init__(answerer)
        self.judge = make_judge(judge)

    def asks(self, conversation: Conversation) -> str | None:
        """By comparing both answers with the references."""
        sample = conversation.sample
        views = (conversation.images[-1], Picture(sample.image).original)
        queries = [
            Query(
                sample.question,
                sample.references,
                self.look(conversation, view).text,
                sample.answer_type,
                sample.choices,
            )
            for view in views
        ]
        low, high = self.judge.score(queries)
        return "It pays to ask." if high.correct and not low.correct else None
