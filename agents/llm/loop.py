"""An event loop in a thread of its own, for code that is not asynchronous itself.

A forked child has a copy of every object but only one thread. Locks that another thread held stay
locked, pools wait for threads that are gone, and closing a copied event loop or connection reaches
into the parent: what holds such things is a :class:`PerProcess`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakSet


class PerProcess:
    """Base of what holds locks, threads or connections: a forked child makes its own."""

    def __init__(self) -> None:
        _LIVING.add(self)

    def _forked(self) -> None:
        """Begin anew in a forked child; runs before anything else there."""
        raise NotImplementedError


def leave(*things: Any) -> None:
    """Keep what belongs to the parent from being collected, which would close it."""
    _PARENTS.extend(things)


_LIVING: WeakSet[PerProcess] = WeakSet()
_PARENTS: list[Any] = []


def _in_child() -> None:
    for thing in list(_LIVING):
        thing._forked()


os.register_at_fork(after_in_child=_in_child)


logger = logging.getLogger(__name__)

_PARTING = 10.0
"""Seconds that closing may take."""


class Loop(PerProcess):
    """Runs coroutines beside the program; it starts at the first one.

    A forked process starts a loop of its own.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str = "llm") -> None:
        self._name = name
        self._begin_anew()
        super().__init__()

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _forked(self) -> None:
        leave(self._loop, self._thread, self._tasks)
        self._begin_anew()

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin a coroutine and return at once.

        Args:
            work: Is called in the loop, and the coroutine it returns is run.
        """
        with self._lock:
            self._started().call_soon_threadsafe(_begin, work, self._tasks)

    def cancel(self) -> None:
        """Cancel everything that runs."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    def close(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel everything, run one last coroutine, and end the thread."""
        with self._lock:
            loop, thread, tasks = self._loop, self._thread, self._tasks
            self._begin_anew()
        if loop is None or thread is None:
            return
        parting = asyncio.run_coroutine_threadsafe(_wind_up(tasks, farewell), loop)
        try:
            parting.result(_PARTING)
        except TimeoutError:
            logger.warning("connections are not closed after %g s: left as they are", _PARTING)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_PARTING)
        if not thread.is_alive():
            loop.close()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads
                loop.close()
                raise
            self._loop, self._thread = loop, thread
        return self._loop


def _begin(work: Callable[[], Coroutine[Any, Any, None]], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _wind_up(
    tasks: set[asyncio.Task[None]], farewell: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await farewell()
    await asyncio.get_running_loop().shutdown_default_executor()
