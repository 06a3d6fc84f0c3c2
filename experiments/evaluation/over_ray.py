"""Blocks played by the machines of a Ray cluster."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from experiments.evaluation.modes import Mode
from experiments.evaluation.player import Block, Entry, Setup, Worker, WorkerError
from vt_env import MissingExtra

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

    Raises:
        MissingExtra: If Ray is not installed.
        WorkerError: If the cluster cannot be reached.
    """

    def __init__(self, setup: Setup, number: int, gpus: int = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtra("ray", "openrlhf", "--ray") from error
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

        Raises:
            WorkerError: If an actor fails.
        """
        left = iter(blocks)
        running: dict[Any, Any] = {}

        def give(actor: Any) -> None:
            if (block := next(left, None)) is not None:
                running[actor.play.remote(part, mode, block)] = actor

        for _ in range(AHEAD):
            for actor in self._actors:
                give(actor)
        while running:
            (done, *_), _ = self._ray.wait(list(running))
            give(running.pop(done))
            try:
                entries: list[Entry] = self._ray.get(done)
            except self._ray.exceptions.RayTaskError as error:
                cause = error.cause
                raise (WorkerError(str(cause)) if isinstance(cause, WorkerError) else error) from (
                    None
                )
            except self._ray.exceptions.RayError as error:
                raise WorkerError(f"an actor that played is gone: {error}") from error
            yield entries

    def close(self) -> None:
        """Close the agents and end the actors, and the cluster if it was started here."""
        with suppress(self._ray.exceptions.RayError):  # one that is gone holds nothing
            self._ray.get([actor.close.remote() for actor in self._actors], timeout=60)
        for actor in self._actors:
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()
