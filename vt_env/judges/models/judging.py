"""What all model judges can be told, and the verdicts that they hand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from vt_env.errors import ConfigError, JudgeError
from vt_env.judges.base import Verdict


@dataclass(frozen=True, slots=True)
class Judging:
    """Settings of every model judge.

    Attributes:
        prompt: A TOML file in place of the shipped prompt.
        cache: A file that keeps verdicts between runs; none if empty.
        canaries: In the first of every so many batches a planted wrong answer is judged too; 0 for
            never.
        max_failures: Share of the last judgements that may fail before a run is stopped, in (0, 1].
        failures_over: Judgements before that.
        price_in: Of a million prompt tokens.
        price_out: Of a million generated tokens.

    Raises:
        ConfigError: On a value out of range.
    """

    prompt: str = ""
    cache: str = ""
    canaries: int = 20
    max_failures: float = 0.5
    failures_over: int = 50
    price_in: float = 0.0
    price_out: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.max_failures <= 1 or self.failures_over < 1:
            raise ConfigError("max_failures must be in (0, 1] and failures_over at least 1")
        if min(self.canaries, self.price_in, self.price_out) < 0:
            raise ConfigError("canaries, price_in and price_out must not be negative")


class Verdicts:
    """Verdicts of a batch, of which some are on their way.

    Args:
        slots: One a query, in order.
        also: What is waited for beside them.
        check: Called when all are there; may raise.
    """

    def __init__(
        self,
        slots: Sequence[Verdict | Future[Verdict]],
        also: Sequence[Future[Verdict]],
        check: Callable[[], None],
    ) -> None:
        self._slots = slots
        self._also = also
        self._check = check

    def result(self) -> list[Verdict]:
        """Wait for all of them; each query has a deadline of its own.

        Raises:
            JudgeError: If too many judgements fail for a run to go on, or the judge was closed.
        """
        try:
            made = [slot.result() if isinstance(slot, Future) else slot for slot in self._slots]
            for future in self._also:
                future.result()
        except JudgeError:
            self._check()
            raise
        self._check()
        return made


class Batch:
    """Verdicts that are put together when they are asked for, once.

    Args:
        collect: Waits for them and puts them together.
    """

    def __init__(self, collect: Callable[[], list[Verdict]]) -> None:
        self._collect = collect
        self._made: list[Verdict] | None = None

    def result(self) -> list[Verdict]:
        """The verdicts, in the order of the queries."""
        if self._made is None:
            self._made = self._collect()
        return self._made
