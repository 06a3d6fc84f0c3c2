"""Samples played one after the other in this process, without a folder of results."""

from __future__ import annotations

from collections.abc import Iterator

from agents import Agent, Episode
from experiments.evaluation.player import Refused, check_refused, play
from vt_env import Task
from vt_env.vector import VisionThinkVectorEnv


def evaluate(
    task: Task,
    agent: Agent,
    *,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 16,
    max_refused: float = 0.1,
) -> Iterator[Episode | Refused]:
    """An episode or a refusal for each sample, in the source's order within a batch."""
    env = VisionThinkVectorEnv(batch, group_size=1, data=task)
    total = len(task.source) if limit is None else min(limit, len(task.source))
    refused = 0
    for start in range(0, total, batch):
        samples = [task.source[i] for i in range(start, min(start + batch, total))]
        episodes, unplayable = play(env, agent, samples, seed)
        refused += len(unplayable)
        check_refused(refused, total, max_refused, unplayable[-1].reason if unplayable else "")
        yield from unplayable
        yield from episodes
