"""A trained policy beside its references: the model it was, the decision to ask made otherwise.

References are played by the model as it was *before* reinforcement learning. Training never makes
a policy answer a question in the arm that it has learnt not to choose, nor in one turn, so that a
trained model forced there is weaker than the one it began as: a handicap that would flatter it.

===================  =======================================================================
trained              the policy decides
low                  never asks
full                 sees the original at once, in one turn: 1.0 of the tokens
always_request       always asks: 1.25 of the tokens
random               asks as often as ``trained``, at random
size_threshold       asks where the picture is large
oracle               asks exactly where ``low`` is wrong and ``always_request`` is right
===================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Iterator

from agents import Agent, Episode, Steered
from agents.steering import Rule
from experiments.evaluation import Refused, evaluate
from experiments.evaluation.modes import from_pixels
from vt_env import ConfigError, Task

NAMES = ("trained", "low", "full", "always_request", "random", "size_threshold", "oracle")


def compare(
    agent: Agent,
    before: Agent,
    task: Task,
    full_task: Task,
    *,
    pixels: int = 100_000,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 256,
) -> Iterator[tuple[str, list[Episode]]]:
    """Play the trained policy and all its references, in the order in which they need each other.

    Args:
        agent: The trained policy.
        before: The model that its training began with; it plays the references.
        task: Where it decides for itself.
        full_task: The same data with the original at once (protocol ``general``).
        pixels: From which first view on ``size_threshold`` asks.
        limit: Samples of each, from the start.
        seed: Seeds the rollouts.
        batch: Episodes at once.

    Yields:
        A name of :data:`NAMES` and its episodes.

    Raises:
        ConfigError: If a picture of the data is refused: references must play the same samples.
    """

    def play(player: Agent, where: Task = task) -> list[Episode]:
        episodes: list[Episode] = []
        for item in evaluate(where, player, limit=limit, seed=seed, batch=batch):
            if isinstance(item, Refused):
                raise ConfigError(f"policies are compared on whole data: {item.id}: {item.reason}")
            episodes.append(item)
        return episodes

    def steered(name: str, asks: Rule) -> Steered:
        return Steered(before, asks, name=name)

    trained = play(agent)
    yield "trained", trained
    low = play(steered("low", lambda _: False))
    yield "low", low
    yield "full", play(before, full_task)
    high = play(steered("always_request", lambda _: True))
    yield "always_request", high
    rate = sum(e.outcome.requested for e in trained) / len(trained)
    yield "random", play(steered("random", lambda c: bool(c.rng.random() < rate)))
    yield "size_threshold", play(steered("size_threshold", from_pixels(pixels)))
    pays = {
        a.sample.id
        for a, b in zip(low, high, strict=True)
        if b.verdict.correct and not a.verdict.correct
    }
    yield "oracle", play(steered("oracle", lambda c: c.sample.id in pays))
