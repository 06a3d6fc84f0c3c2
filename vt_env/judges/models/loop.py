"""An event loop in a thread of its own, for code that is not asynchronous itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Loop:
    """Runs coroutines beside the program; it starts at the first one.

    A forked process starts a loop of its own.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str = "judge") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._owner = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin coroutines and return at once.

        Args:
            make: Is called in the loop, and the coroutine it returns is run.
        """
        self._running().call_soon_threadsafe(lambda: self._begin(make()))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """Cancel everything that runs."""
        loop = self._loop
        if loop is not None and self._owner == os.getpid():
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    def close(self, farewell: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        """Cancel everything, run one last coroutine, and end the thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._owner != os.getpid():
            return
        future = asyncio.run_coroutine_threadsafe(self._wind_up(farewell), loop)
        future.result(timeout=10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()

    async def _wind_up(self, farewell: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if farewell is not None:
            await farewell()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._owner != os.getpid():
            self._lock, self._loop, self._tasks = threading.Lock(), None, set()
        with self._lock:
            if self._loop is None:
                self._owner = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name=self._name, daemon=True
                )
                self._thread.start()
            return self._loop
