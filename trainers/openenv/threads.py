"""Work that may never end, in threads that are given up and replaced."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TypeVar

from vt_env.judges import Judge, Query, Verdict
from vt_env.judges.base import PlainJudge

LOG = logging.getLogger("vt.serve")
T = TypeVar("T")


class Busy(RuntimeError):
    """As much work is going on, or hangs, as is allowed."""


class Threads:
    """A thread for each piece of work, so that no piece waits for another that hangs.

    Threads do not keep the process alive.

    Args:
        most: How many pieces may go on at once, those that hang among them.
        name: What the threads are called.
    """

    def __init__(self, most: int, name: str) -> None:
        self.most = most
        self.name = name
        self._room = threading.BoundedSemaphore(most)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Begin.

        Raises:
            Busy: If there is no room.
        """
        if not self._room.acquire(blocking=False):
            raise Busy(f"{self.most} pieces of work go on already")
        future: Future[T] = Future()
        thread = threading.Thread(
            target=self._run, args=(future, work), name=self.name, daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            self._room.release()
            raise Busy(str(error)) from error
        return future

    def _run(self, future: Future[T], work: Callable[[], T]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(work())
        except BaseException as error:  # whoever waits raises it
            future.set_exception(error)
        finally:
            self._room.release()


class TimedJudge(PlainJudge):
    """A judge that has so many seconds for a verdict; after them the answer is unscored.

    A judgement that hangs keeps its thread, and no session waits for it. While as many hang as
    there are threads, nothing is scored.

    Args:
        judge: Who judges.
        seconds: For all queries of a call together.
        most: Judgements that may go on at once, those that hang among them.
    """

    def __init__(self, judge: Judge, seconds: float, most: int) -> None:
        super().__init__(judge)
        self.seconds = seconds
        self._threads = Threads(most, "vt-judge")

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """The judge's verdicts, or unscored ones."""
        try:
            judging = self._threads.submit(lambda: self.judge.score(queries))
        except Busy as error:
            return self._unscored(queries, f"the judge is stuck: {error}")
        if judging not in wait([judging], self.seconds).done:
            return self._unscored(queries, f"no verdict in {self.seconds:g} s")
        return judging.result()

    def _unscored(self, queries: Sequence[Query], reason: str) -> list[Verdict]:
        LOG.warning("judge %s: %s", self.name, reason)
        return [Verdict(None, self.name, reason) for _ in queries]
