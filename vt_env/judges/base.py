"""What a judge reads, what it says, and the protocol between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable


@dataclass(frozen=True, slots=True)
class Query:
    """One answer to be judged. A judge reads text only, never the picture.

    Attributes:
        question: The question as it was asked.
        references: One or more accepted answers; the first is canonical.
        answer: The answer extracted from the last turn (never the whole turn).
        answer_type: ``exact``, ``numeric``, ``yesno``, ``mcq``, ``math``, ``list``, ``date``,
            or ``""`` when it is not known.
        choices: Option texts of a multiple-choice question in the order of their letters.
        rollout: Names the rollout, for a judge that has ``per_rollout``; ``""`` for all others, to
            whom equal answers are one query.
    """

    question: str
    references: tuple[str, ...]
    answer: str
    answer_type: str = ""
    choices: tuple[str, ...] = ()
    rollout: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one answer.

    Attributes:
        correct: ``True``, ``False``, or ``None`` for *unscored*: no judgement could be had.
            Unscored is not wrong: it neither counts nor is rewarded.
        judge: Name of the judge that decided.
        reason: Why, in a few words.
        score: Graded score in [0, 1] for metrics that have one (ANLS, VQA accuracy), else 1 or 0;
            ``None`` when unscored.
    """

    correct: bool | None
    judge: str
    reason: str
    score: float | None = None

    def __post_init__(self) -> None:
        if self.correct is None and self.score is not None:
            raise ValueError(f"an unscored verdict cannot have a score, got {self.score}")
        if self.correct is not None and self.score is None:
            object.__setattr__(self, "score", float(self.correct))


@runtime_checkable
class Judge(Protocol):
    """Scores answers in batches; batches may be any size, also empty.

    A judge whose attribute ``per_rollout`` is true is asked about every rollout, named in its
    query; all others are asked once about equal answers.
    """

    @property
    def name(self) -> str:
        """The name written into every verdict."""
        ...

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in the queries' order. Never raises for an odd text."""
        ...


class Pending(Protocol):
    """Verdicts that are on their way."""

    def result(self) -> list[Verdict]:
        """Wait for all of them; they are in the order of the queries."""
        ...


@dataclass(frozen=True, slots=True)
class Later:
    """Verdicts that are made when they are asked for."""

    make: Callable[[], list[Verdict]]

    def result(self) -> list[Verdict]:
        """Make them."""
        return self.make()


def close(judge: Judge) -> None:
    """Let go of what a judge holds (connections, a model, a process), if it holds anything."""
    if callable(letting_go := getattr(judge, "close", None)):
        letting_go()


def submit(judge: Judge, queries: Sequence[Query]) -> Pending:
    """Begin to judge without waiting, where a judge can: it then has ``submit(queries)``.

    A later ``score`` of the same queries picks up what was begun. Other judges begin when the
    result is asked for.
    """
    begin = cast("Callable[[Sequence[Query]], Pending] | None", getattr(judge, "submit", None))
    return begin(queries) if begin is not None else Later(lambda: judge.score(queries))
