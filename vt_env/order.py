"""Which samples an environment plays, and in which order."""

from __future__ import annotations

import operator
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, SupportsIndex

import numpy as np

from vt_env.errors import ConfigError, DataError, unknown_name
from vt_env.samples import Sample
from vt_env.sources import Source

ORDERS = ("random", "sequential")


class SampleOrder:
    """Draws samples with a generator, or goes through the source from its start, over and over.

    Args:
        source: The samples.
        order: One of :data:`ORDERS`.

    Raises:
        ConfigError: If the order is unknown.
        DataError: If there are no samples.
    """

    def __init__(self, source: Source, order: str) -> None:
        if order not in ORDERS:
            raise unknown_name("order", order, ORDERS)
        if not len(source):
            raise DataError(f"source {source.name!r} has no samples; name one that has")
        self.source = source
        self.order = order
        self.next = 0

    def take(self, number: int, rng: np.random.Generator) -> list[Sample]:
        """The next samples."""
        size = len(self.source)
        if self.order == "random":
            return [self.source[int(index)] for index in rng.integers(size, size=number)]
        start, self.next = self.next, self.next + number
        return [self.source[index % size] for index in range(start, start + number)]

    def at(self, index: object) -> Sample:
        """The sample at a position from 0.

        Raises:
            ConfigError: If it is no whole number.
            DataError: If there is none.
        """
        if isinstance(index, bool) or not isinstance(index, SupportsIndex):
            raise ConfigError(f"index must be a whole number, got {index!r:.40}")
        position = operator.index(index)
        if not 0 <= position < len(self.source):
            raise DataError(
                f"source {self.source.name!r} has {len(self.source)} samples, numbered from 0; "
                f"asked for number {position}"
            )
        return self.source[position]

    @contextmanager
    def unmoved(self, env: Any) -> Generator[None]:
        """Where the block raises, leaves the order and the environment's generator as they were.

        Args:
            env: A ``gymnasium.Env`` or ``VectorEnv``.
        """
        names = ("_np_random", "_np_random_seed")
        before = {name: getattr(env, name) for name in names}
        generator: np.random.Generator | None = before["_np_random"]
        state: Any = generator.bit_generator.state if generator is not None else None
        place = self.next
        try:
            yield
        except BaseException:
            for name, value in before.items():
                setattr(env, name, value)
            if generator is not None:
                generator.bit_generator.state = state
            self.next = place
            raise


def options_of(options: dict[str, Any] | None, known: Sequence[str]) -> dict[str, Any]:
    """The options of a reset.

    Raises:
        ConfigError: On one that is not known.
    """
    given = options or {}
    if unknown := [name for name in given if name not in known]:
        raise unknown_name("reset option", unknown[0], known)
    return given
