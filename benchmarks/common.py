"""What the benchmarks of training share: a model, a training step, and how they are measured."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from agents import Episode
from experiments.recipe import load_recipe
from trainers.algorithms import make_algorithm
from trainers.config import TrainConfig
from trainers.local.learner import Learner
from trainers.local.play import Player
from trainers.local.policy import Policy

torch.set_num_threads(1)
clock = time.process_time
"""Seconds of the processor: with one thread, those of an idle machine, whatever else runs."""


def pages(prompts: int = 32) -> TrainConfig:
    """The recipe ``pages``, with nothing forced, and steps too small to change how it behaves."""
    overrides = {
        "model.device": "cpu",
        "rollout.prompts": prompts,
        "rollout.probes": 0,
        "rollout.rounds": 1,
        "optimiser.learning_rate": 1e-6,
    }
    return load_recipe("pages", [f"{key}={value}" for key, value in overrides.items()])


class Training:
    """The local trainer's step, without logs, evaluations and checkpoints.

    Args:
        config: The recipe.
    """

    def __init__(self, config: TrainConfig) -> None:
        algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
        self.policy = Policy(config.model, None, reference=algorithm.kl_coef > 0, critic=False)
        self.player = Player(config, self.policy.vlm)
        self.learner = Learner(self.policy, algorithm, config)
        self.number = 0

    def step(self) -> list[Episode]:
        """Play the groups of a step and learn from them."""
        self.number += 1
        with torch.no_grad():
            episodes = self.player.play(self.number)
        self.learner.learn(self.player.lesson(episodes), self.number)
        return episodes


def said(episodes: Sequence[Episode]) -> int:
    """Tokens that the policy generated."""
    return sum(len(reply.token_ids or ()) for episode in episodes for reply in episode.replies)


def resident() -> float:
    """Memory that this process holds, in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
