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
    ids = task.source.ids()[:limit]
    refused = 0
    for start in range(0, len(ids), batch):
        episodes, unplayable = play(env, agent, ids[start : start + batch], seed)
        refused += len(unplayable)
        check_refused(refused, len(ids), max_refused, unplayable[-1].reason if unplayable else "")
        yield from unplayable
        yield from episodes
