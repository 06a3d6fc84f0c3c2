"""Who plays the blocks: this process, several, or machines of a Ray cluster.

Whoever it is, blocks are the same and so are their entries; only the order in which blocks are done
differs.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from queue import Empty
from typing import Any, Protocol

from experiments.evaluation.modes import Mode
from experiments.evaluation.player import Block, Entry, Player, Setup, Worker, WorkerError

GONE = "a process that played is gone (killed, or out of memory)"


class Workers(Protocol):
    """Plays blocks."""

    def play(self, part: str, mode: Mode, blocks: Sequence[Block]) -> Iterator[list[Entry]]:
        """The entries of each block as soon as it is done."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Here:
    """This process, block by block.

    Args:
        player: Who plays.
    """

    def __init__(self, player: Player) -> None:
        self._player = player

    def play(self, part: str, mode: Mode, blocks: Sequence[Block]) -> Iterator[list[Entry]]:
        """In order."""
        for block in blocks:
            yield self._player.play(part, mode, block)

    def close(self) -> None:
        """The player is somebody else's."""


class Processes:
    """Processes of this machine, each with an agent of its own.

    Args:
        setup: What is played; only specs.
        number: Of processes.
        gpus: Of each; process 0 gets the first ones, and so on. 0: all see all.
    """

    def __init__(self, setup: Setup, number: int, gpus: int = 0) -> None:
        context = multiprocessing.get_context("spawn")
        places = context.Queue()
        for place in range(number):
            places.put(",".join(str(place * gpus + gpu) for gpu in range(gpus)))
        self._pool = ProcessPoolExecutor(
            number, context, initializer=_begin, initargs=(setup.to_send(), places)
        )

    def play(self, part: str, mode: Mode, blocks: Sequence[Block]) -> Iterator[list[Entry]]:
        """As they are done; whoever is free takes the next.

        Raises:
            WorkerError: If a process fails.
        """
        futures: list[Future[list[Entry]]] = [
            self._pool.submit(_play, part, mode, block) for block in blocks
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise WorkerError(GONE) from error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """Wait for what is being played, and end the processes."""
        self._pool.shutdown(cancel_futures=True)


_worker: Worker | None = None
"""This process's, where it is one of :class:`Processes`."""


def _begin(setup: Setup, places: Any) -> None:
    global _worker
    try:
        if gpus := places.get(timeout=60):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    except Empty:
        pass
    _worker = Worker(setup)
    atexit.register(_worker.close)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(part: str, mode: Mode, block: Block) -> list[Entry]:
    assert _worker is not None
    return _worker.play(part, mode, block)
