"""What a judge reads, what it says, and what every judge can do."""

from __future__ import annotations

import functools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, SupportsIndex, TypeVar, runtime_checkable

T = TypeVar("T")


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
        rollout: Names the rollout, for a judge that has ``per_rollout``: the sample, and the
            rollout's place in its group. ``""`` for all others, to whom equal answers are one
            query, and where no rollout is known.
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


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict of rules, and whether it stands whatever a model would say."""

    verdict: Verdict
    certain: bool


@runtime_checkable
class UsageLike(Protocol):
    """Counts of a judge that counts, as a dataclass; :class:`agents.judging.Usage` is one."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __add__(self, other: Any) -> Self: ...

    def copy(self) -> Self:
        """The counts as they are now."""
        ...

    def since(self, before: Any) -> Self:
        """What was added to an earlier copy."""
        ...

    def numbers(self) -> dict[str, float | None]:
        """All counts by name."""
        ...


@runtime_checkable
class JudgeLike(Protocol):
    """The least that a judge is made of; every :class:`Judge` is like this."""

    @property
    def name(self) -> str:
        """The name written into every verdict."""
        ...

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        ...


class Judge(ABC):
    """Scores answers in batches; batches may be any size, also empty.

    Whoever writes one needs ``name`` and ``score``, and need not even derive from this class:
    :func:`~vt_env.judges.make_judge` gives such an object the rest. One that is made from a spec
    can be pickled: it is made anew from the spec where it arrives.

    Attributes:
        name: The name written into every verdict.
        per_rollout: Whether every rollout is asked about, named in its query; else equal answers
            are asked about once.
        spec: The text and the options that :func:`~vt_env.judges.make_judge` made it from.
    """

    name: str
    per_rollout: bool = False
    spec: tuple[str, dict[str, Any]] | None = None

    @abstractmethod
    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in the queries' order. Never raises for an odd text.

        Raises:
            JudgeError: If too many judgements fail for a run to go on.
        """

    def submit(self, queries: Sequence[Query]) -> Future[list[Verdict]]:
        """The same without waiting, where a judge can; others judge before they return.

        What ``score`` would raise is raised by the future.
        """
        return when_done((), lambda: self.score(queries))

    def begin(self, queries: Sequence[Query]) -> None:  # noqa: B027 - a default
        """Start on queries that will be scored later. A hint: by default nothing is done.

        Raises:
            JudgeError: If too many judgements fail for a run to go on.
        """

    @property
    def usage(self) -> UsageLike | None:
        """What judging took so far; ``None`` of a judge that counts nothing, as rules."""
        return None

    def close(self) -> None:  # noqa: B027 - a default
        """Let go of what is held: connections, a model, a process. It may be used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self.spec is None:
            return super().__reduce_ex__(protocol)
        from vt_env.judges.registry import make_judge

        text, options = self.spec
        return functools.partial(make_judge, text, **options), ()


class PlainJudge(Judge):
    """Anything with ``name`` and ``score`` as a whole judge; its other attributes stay its own."""

    def __init__(self, judge: JudgeLike) -> None:
        self.judge = judge
        self.name = judge.name
        self.per_rollout = bool(getattr(judge, "per_rollout", False))

    def __repr__(self) -> str:
        return repr(self.judge)

    def __getattr__(self, name: str) -> Any:
        if name == "judge" or name.startswith("__"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.judge, name)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return self.judge.score(queries)

    @property
    def usage(self) -> UsageLike | None:
        """What the judge counted, if it counts."""
        usage = getattr(self.judge, "usage", None)
        return usage if isinstance(usage, UsageLike) else None

    def close(self) -> None:
        """Close the judge, if it can be closed."""
        if callable(closing := getattr(self.judge, "close", None)):
            closing()


def when_done(futures: Sequence[Future[Any]], make: Callable[[], T]) -> Future[T]:
    """A future of what a function returns or raises once all of some futures are done."""
    made: Future[T] = Future()
    made.set_running_or_notify_cancel()
    lock, left = threading.Lock(), len(futures) + 1

    def one_done(_: object) -> None:
        nonlocal left
        with lock:
            left -= 1
            if left:
                return
        try:
            result = make()
        except Exception as error:
            made.set_exception(error)
        else:
            made.set_result(result)

    for future in futures:
        future.add_done_callback(one_done)
    one_done(None)
    return made
