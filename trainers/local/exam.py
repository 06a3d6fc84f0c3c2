"""The greedy evaluation on the validation split."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import torch

from agents import Episode, rollout
from agents.models import VisionLanguageModel
from trainers.config import TrainConfig
from trainers.data import task_of
from trainers.local.metrics import Numbers, evaluation_metrics
from trainers.local.play import agent_of
from vt_env import PictureError
from vt_env.vector import VisionThinkVectorEnv


class Measured(Protocol):
    """Who is measured: a :class:`~trainers.local.policy.Policy`, or another trainer's."""

    vlm: VisionLanguageModel

    def precision(self) -> AbstractContextManager[None]:
        """Run forward passes in the recipe's dtype."""
        ...


class Exam:
    """Measures a policy, always on the same samples.

    Args:
        config: The recipe, with a validation split.
        policy: Who is measured.
    """

    def __init__(self, config: TrainConfig, policy: Measured) -> None:
        self.policy = policy
        self.task = task_of(config.data.validation or "", config.environment)
        self.agent = agent_of(
            config.model,
            policy.vlm,
            temperature=0.0,
            max_new_tokens=config.rollout.max_new_tokens,
        )
        limit, size = config.evaluation.limit, len(self.task.source)
        self.ids = list(self.task.source.ids()[: min(limit, size) if limit else size])
        self.batch = min(config.evaluation.batch, len(self.ids))
        self.examples = config.tracking.episodes
        self.env = VisionThinkVectorEnv(self.batch, group_size=1, data=self.task)

    def sit(self) -> tuple[Numbers, list[Episode]]:
        """Numbers in the family ``eval``, and some of the episodes."""
        episodes: list[Episode] = []
        refused = 0
        for begin in range(0, len(self.ids), self.batch):
            left = self.ids[begin : begin + self.batch]
            while left:
                try:
                    with torch.no_grad(), self.policy.precision():
                        episodes += rollout(self.env, self.agent, sample_ids=left)
                    break
                except PictureError as error:
                    if error.sample_id not in left:
                        raise
                    left = [sample_id for sample_id in left if sample_id != error.sample_id]
                    refused += 1
                finally:
                    self.agent.forget()
        return {
            **evaluation_metrics(episodes),
            "eval/n": len(episodes),
            "eval/refused": refused,
        }, episodes[: self.examples]
