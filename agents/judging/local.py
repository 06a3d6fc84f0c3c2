"""Models that run in this process: batch after batch, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents.judging.asking import Ask, Failure, OnResponse, Response
from agents.llm.loop import PerProcess, leave
from vt_env.errors import ConfigError

logger = logging.getLogger(__name__)

Answer = Callable[[Sequence[Ask]], Sequence[Response]]


class Local(PerProcess):
    """A backend around a function that answers a batch of asks.

    What the function raises leaves its batch unscored. It can be pickled if the function can. A
    forked process has a thread of its own; whether the model itself works there is the model's
    affair (one on a GPU does not: make the judge after the fork).

    Args:
        name: What verdicts are signed with.
        identity: Everything that decides a verdict; see :class:`~.asking.Backend`.
        answer: One outcome an ask, in order; never called by two threads at once.
        batch: Asks at a time.

    Raises:
        ConfigError: If the batch is not at least 1.
    """

    def __init__(self, name: str, identity: str, answer: Answer, batch: int = 32) -> None:
        if batch < 1:
            raise ConfigError(f"batch must be at least 1, got {batch}")
        self.name = name
        self.identity = identity
        self.batch = batch
        self._answer = answer
        self._thread: ThreadPoolExecutor | None = None
        self._forked()
        super().__init__()

    def _forked(self) -> None:
        leave(self._thread)
        self._lock = threading.Lock()
        self._thread = None
        self._round = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return Local, (self.name, self.identity, self._answer, self.batch)

    def __repr__(self) -> str:
        return f"Local({self.name!r})"

    def start(self, asks: Sequence[Ask], on_response: OnResponse) -> None:
        """Line up to be answered, and return at once."""
        with self._lock:
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "judge")
            for begin in range(0, len(asks), self.batch):
                some = asks[begin : begin + self.batch]
                self._thread.submit(self._work, some, begin, on_response, self._round)

    def drop(self) -> None:
        """Skip the batches that are lined up; the one that is being answered is not heard of."""
        with self._lock:
            self._round += 1

    def close(self) -> None:
        """End the thread, and let go of the model if it can be told to: it may have ``close()``."""
        self.drop()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=True)
        if callable(letting_go := getattr(self._answer, "close", None)):
            letting_go()

    def _work(self, asks: Sequence[Ask], begin: int, on_response: OnResponse, round_: int) -> None:
        if round_ != self._round:
            return
        outcomes: Sequence[Response]
        try:
            outcomes = self._answer(asks)
            if len(outcomes) != len(asks):
                raise RuntimeError(f"{len(outcomes)} outcomes of {len(asks)} asks")
        except Exception as error:
            logger.exception("the judge %s failed on a batch", self.name)
            outcomes = [Failure(f"{type(error).__name__} in the model")] * len(asks)
        if round_ == self._round:
            for place, outcome in enumerate(outcomes, begin):
                on_response(place, outcome)
