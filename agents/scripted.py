"""Agents whose decision is a rule: the baselines that a trained policy has to beat.

Each asks for the original by its own rule and leaves the answer to an *answerer*, which is the
same for all of them, so that they differ in nothing but when they ask. Zooming ones choose a part
of the picture in whatever words the protocol has (a box, a point, a named part), and answer from
the view of which their answerer is surest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from itertools import takewhile

from agents.answerers import Answerer, Guess, make_answerer
from agents.base import Conversation, Reply, answer_turn, request_turn
from agents.steering import FORCED, Arm
from vt_env.errors import ConfigError, PictureError
from vt_env.judges import JudgeLike, Query, make_judge
from vt_env.pictures import Picture, View
from vt_env.regions import Box, Region, frame
from vt_env.tools import ToolError


class Zooming(ABC):
    """A rule for what to look at, and an answerer.

    Args:
        answerer: As for :class:`agents.scripted.ScriptedAgent`.
    """

    name = "zooming"

    def __init__(self, answerer: str | Answerer = "auto") -> None:
        self.answerer = make_answerer(answerer)

    @abstractmethod
    def region(self, conversation: Conversation) -> Region | None:
        """What to look at in this turn; ``None`` answers."""

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Ask for what the rule says, else answer."""
        return [Reply(self._turn(conversation)) for conversation in conversations]

    def _turn(self, conversation: Conversation) -> str:
        region = self.region(conversation) if conversation.can_request else None
        if region is not None and conversation.ask is not None:
            try:
                return conversation.ask(region, "I look closer.")
            except ToolError:
                pass  # it cannot be asked for in this protocol's words
        look, question, sample = self.answerer.guess, conversation.question, conversation.sample
        guesses = [look(question, view, sample) for view in conversation.images]
        best = max(guesses, key=lambda guess: guess.confidence)
        return answer_turn(best.text, best.how)


class ZoomOracle(Zooming):
    """Looks at the place where the answer is, once.

    It reads where that is, so it is no policy: it is the bound of policies that look once.
    """

    name = "zoom-oracle"

    def region(self, conversation: Conversation) -> Region | None:
        """The box of the answer, in the first turn.

        Raises:
            ConfigError: If the sample does not say where the answer is.
        """
        box, first = conversation.sample.answer_box, conversation.images[0].region
        if box is None:
            raise ConfigError(
                f"zoom-oracle needs metadata['answer_box'], which sample "
                f"{conversation.sample.id!r} lacks; in a table it is a column of its own"
            )
        if conversation.turn or first is None:
            return None
        return Region(0, box.whole().within(Box.of(first.of)), first.of)


class ZoomRandom(Zooming):
    """Looks at places drawn at random, then answers.

    Args:
        zooms: How often it looks, as far as the budget goes.
        share: Side of what it looks at, over the picture's.
        answerer: As for :class:`agents.scripted.ScriptedAgent`.
    """

    name = "zoom-random"

    def __init__(
        self, zooms: int = 1, share: float = 0.5, answerer: str | Answerer = "auto"
    ) -> None:
        if int(zooms) < 1 or not 0 < float(share) <= 1:
            raise ConfigError(
                f"zooms must be at least 1 and share above 0 and at most 1, got {zooms}, {share}"
            )
        super().__init__(answerer)
        self.zooms, self.share = int(zooms), float(share)

    def region(self, conversation: Conversation) -> Region | None:
        """A place by the rollout's own generator."""
        first = conversation.images[0].region
        if conversation.turn >= self.zooms or first is None:
            return None
        width, height = (max(1, int(side * self.share)) for side in first.of)
        left, top = (
            int(conversation.rng.integers(0, side - part + 1))
            for side, part in zip(first.of, (width, height), strict=True)
        )
        return Region(0, Box(left, top, left + width, top + height), first.of)


class ScriptedAgent(ABC):
    """A rule for asking, at most once, and an answerer.

    Args:
        answerer: Who answers: ``ocr``, ``ideal``, or ``auto``, which takes ``ideal`` where a
            sample says what it needs and ``ocr`` elsewhere.
    """

    name = "scripted"
    asking: float | None = None
    """See :attr:`agents.base.Reply.asking`; of the turns in which the rule decides."""

    def __init__(self, answerer: str | Answerer = "auto") -> None:
        self.answerer = make_answerer(answerer)

    @abstractmethod
    def asks(self, conversation: Conversation) -> str | None:
        """Why it asks for the original, or ``None`` if it does not."""

    def reasons(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """:meth:`asks` of each, for rules that are cheaper for many at once."""
        return [self.asks(conversation) for conversation in conversations]

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """Ask where the rule says so, else answer."""
        return self.steer(conversations, [None] * len(conversations))

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        """Ask or answer as told, and by the rule where nothing is."""
        pairs = list(zip(conversations, arms, strict=True))
        free = [c for c, arm in pairs if arm is None and c.can_request and not _has_seen_more(c)]
        reasons = {id(c): why for c, why in zip(free, self.reasons(free), strict=True)}
        turns: list[str] = []
        for conversation, arm in pairs:
            if arm == "request":
                turns.append(request_turn(FORCED))
            elif (reason := reasons.get(id(conversation))) is not None:
                turns.append(self.request(conversation, reason))
            else:
                turns.append(self._answer(conversation))
        return [
            Reply(turn, asking=self.asking if id(conversation) in reasons else None)
            for turn, conversation in zip(turns, conversations, strict=True)
        ]

    def request(self, conversation: Conversation, reason: str) -> str:
        """The turn that asks."""
        return request_turn(reason)

    def _answer(self, conversation: Conversation) -> str:
        guess = self.guess(conversation)
        return answer_turn(guess.text, guess.how)

    def guess(self, conversation: Conversation) -> Guess:
        """What the answerer makes of what was shown: of the last view, if nothing else is said."""
        return self.look(conversation, conversation.images[-1])

    def look(self, conversation: Conversation, view: View) -> Guess:
        """What the answerer makes of a view."""
        return self.answerer.guess(conversation.question, view, conversation.sample)


def _region(view: View, where: Box | None, wider: int) -> Region | None:
    """A place on a view as a part of its picture, grown by half its sides for each ``wider``."""
    shown = view.region
    if shown is None or where is None:
        return shown
    grown = where.widened(wider * where.width / 2, wider * where.height / 2)
    edges = frame("view", shown, view.size).to_source(grown.edges)
    return Region(shown.picture, Box(*edges).within(shown.box), shown.of)


def _has_seen_more(conversation: Conversation) -> bool:
    """Whether a call has brought a view beside those of the question."""
    asked = takewhile(lambda message: message["role"] != "assistant", conversation.messages)
    marks = [block for message in asked for block in message["content"] if block["type"] == "image"]
    return len(conversation.images) > max(1, len(marks))


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
        self.p = self.asking = float(p)

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
    """Looks closer, once, when its own answer is doubtful and that could help.

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
        guess = self.guess(conversation)
        if guess.confidence >= self.threshold or not guess.sharper_helps:
            return None
        return f"{guess.how} I am {guess.confidence:.0%} sure, which is too little."

    def request(self, conversation: Conversation, reason: str) -> str:
        """For the part that the answerer wants to see, where a tool shows parts; else for all.

        A call that was refused, as one for a very small part may be, is made again for more.
        """
        region = _region(conversation.images[-1], self.guess(conversation).where, conversation.turn)
        if region is not None and conversation.ask is not None:
            with suppress(ToolError):
                return conversation.ask(region, reason)
        return request_turn(reason)


class Oracle(ScriptedAgent):
    """Asks only where it pays: where the answer is wrong without and right with the original.

    It reads the references, so it is no policy: it is the bound that any policy with the same
    answerer can reach.

    Args:
        judge: Who decides what is right.
        answerer: See :class:`ScriptedAgent`.
    """

    name = "oracle"

    def __init__(self, judge: str | JudgeLike = "auto", answerer: str | Answerer = "auto") -> None:
        super().__init__(answerer)
        self.judge = make_judge(judge)

    def asks(self, conversation: Conversation) -> str | None:
        """By comparing both answers with the references."""
        return self.reasons([conversation])[0]

    def reasons(self, conversations: Sequence[Conversation]) -> list[str | None]:
        """As :meth:`asks`, from one call of the judge."""
        queries: list[Query] = []
        for conversation in conversations:
            views = conversation.images[-1], self._original(conversation)
            queries += [self._query(conversation, view) for view in views]
        verdicts = iter(self.judge.score(queries) if queries else [])
        return [
            "It pays to ask." if high.correct and not low.correct else None
            for low, high in zip(verdicts, verdicts, strict=True)
        ]

    def _original(self, conversation: Conversation) -> View:
        """The original, or what was shown where it cannot be read, so that nothing is gained."""
        picture = conversation.picture or Picture(conversation.sample.image)
        try:
            return picture.original
        except PictureError:
            return conversation.images[-1]

    def _query(self, conversation: Conversation, view: View) -> Query:
        sample, answer = conversation.sample, self.look(conversation, view).text
        return Query(sample.question, sample.references, answer, sample.answer_type, sample.choices)
