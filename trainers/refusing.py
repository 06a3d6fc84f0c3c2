"""What a trainer cannot do is refused before anything starts, with what to set instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trainers.algorithms import Algorithm, make_algorithm
from trainers.config import TrainConfig
from vt_env.errors import ConfigError

Refusals = Callable[[TrainConfig, Algorithm], Sequence[tuple[bool, str]]]
"""Of a recipe and its algorithm: whether each thing is wanted, and what to say of it."""


def accepted(config: TrainConfig, trainer: str, refusals: Refusals) -> Algorithm:
    """Refuse what a trainer cannot do.

    Args:
        config: The recipe.
        trainer: Its name.
        refusals: What it cannot do.

    Returns:
        The recipe's algorithm.

    Raises:
        ConfigError: Saying what to set instead.
    """
    algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
    for wanted, message in refusals(config, algorithm):
        if wanted:
            raise ConfigError(f"the trainer {trainer!r} cannot do this: {message}")
    return algorithm
