"""Who plays the blocks: this process, several, or machines of a Ray cluster.

Whoever it is, blocks are the same and so are their entries; only the order in which blocks are done
differs.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from queue import Empty
from typing import Any, Protocol

from experiments.evaluation.modes import Mode
from experiments.evaluation.player import Block, Entry, Player, Setup, Worker, WorkerError
from vt_env import ConfigError
from vt_env.decoding import cores
from vt_env.packages import require_plain_name

logger = logging.getLogger(__name__)

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
            number,
            context,
            initializer=_begin,
            initargs=(setup.to_send(), places, max(1, cores() // number)),
        )

    def play(self, part: str, mode: Mode, blocks: Sequence[Block]) -> Iterator[list[Entry]]:
        """As they are done; whoever is free takes the next."""
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


def _begin(setup: Setup, places: Any, threads: int) -> None:
    global _worker
    # Read when torch is imported; more threads than cores would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    try:
        if gpus := places.get(timeout=60):
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    except Empty:
        pass
    _worker = Worker(setup)
    atexit.register(_worker.close)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """A process whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _play(part: str, mode: Mode, block: Block) -> list[Entry]:
    assert _worker is not None
    return _worker.play(part, mode, block)


# pyright: reportMissingImports=false


AHEAD = 2
"""Blocks that each actor has been given: it need not wait for the next."""


class Actors:
    """Ray actors, each with an agent of its own.

    They run on the cluster at ``RAY_ADDRESS``, else on one that is started here. Packages, data and
    checkpoints must be on every machine under the same paths. That the data is the same is checked.

    Args:
        setup: What is played; only specs.
        number: Of actors.
        gpus: Of each.
    """

    def __init__(self, setup: Setup, number: int, gpus: int = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("--ray needs Ray, which is not installed: pip install ray") from error
        require_plain_name("experiments", "--ray")
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(include_dashboard=False, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise WorkerError(f"Ray cannot be reached: {error}") from error
        actor = ray.remote(num_cpus=1, num_gpus=gpus)(Worker)
        self._actors = [actor.remote(setup.to_send()) for _ in range(number)]

    def play(self, part: str, mode: Mode, blocks: Sequence[Block]) -> Iterator[list[Entry]]:
        """As they are done; whoever is free takes the next.

        What an actor had that is gone, as with its machine, the others play.
        """
        left = deque(blocks)
        running: dict[Any, tuple[Any, Block]] = {}

        def give(actor: Any) -> None:
            if left:
                block = left.popleft()
                running[actor.play.remote(part, mode, block)] = actor, block

        for _ in range(AHEAD):
            for actor in self._actors:
                give(actor)
        while running:
            (done, *_), _ = self._ray.wait(list(running))
            actor = running[done][0]
            try:
                entries: list[Entry] = self._ray.get(done)
            except self._ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise (WorkerError(str(cause)) if isinstance(cause, WorkerError) else error) from (
                    None
                )
            except self._ray.exceptions.RayError as error:
                self._gone(actor, error)
                lost = [ref for ref, (who, _) in running.items() if who is actor]
                left.extendleft([running.pop(ref)[1] for ref in lost])
                for other in self._actors:
                    give(other)
                continue
            del running[done]
            give(actor)
            yield entries

    def _gone(self, actor: Any, error: Exception) -> None:
        """Go on without an actor, if there are others."""
        self._actors = [other for other in self._actors if other is not actor]
        if not self._actors:
            raise WorkerError(f"the last actor that played is gone: {error}") from error
        logger.warning("an actor is gone, %s go on: %.200s", len(self._actors), error)

    def close(self) -> None:
        """Close the agents and end the actors, and the cluster if it was started here."""
        with suppress(self._ray.exceptions.RayError):  # one that is gone holds nothing
            self._ray.get([actor.close.remote() for actor in self._actors], timeout=60)
        for actor in self._actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()
