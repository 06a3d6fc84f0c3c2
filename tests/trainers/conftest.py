"""A tiny policy and small recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.recipe import load_recipe
from trainers import TrainConfig


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has half learnt the format, so that its rewards differ."""
    import torch

    from agents.tiny.warmup import WarmupConfig, warm_up

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    warm_up(
        WarmupConfig(reading=0, vision_steps=20, vision_batch=8, steps=100, batch=8), folder, seed=1
    )
    return folder


SMALL = (
    "model.agent=tiny",
    "data.train=generated:n=64,split=train",
    "data.validation=generated:n=8,split=validation",
    "steps=6",
    "rollout.prompts=3",
    "rollout.group_size=4",
    "rollout.max_new_tokens=14",
    "optimiser.minibatches=1",
    "optimiser.microbatch=5",
    "optimiser.decay=none",
    "optimiser.warmup_steps=0",
    "optimiser.learning_rate=3e-3",
    "evaluation.every=3",
    "checkpoint.every=2",
    "checkpoint.keep=2",
    "algorithm.entropy=0.01",
    "tracking.wandb=off",
)


@pytest.fixture
def small() -> tuple[str, ...]:
    """What makes the laptop's recipe small."""
    return SMALL


@pytest.fixture
def recipe(tiny: Path) -> Callable[..., TrainConfig]:
    """The laptop's recipe, made small: six steps of three questions."""

    def make(*overrides: str) -> TrainConfig:
        return load_recipe("laptop", [f"model.path={tiny}", *SMALL, *overrides])

    return make


@pytest.fixture
def train(recipe: Callable[..., TrainConfig]) -> Callable[..., Any]:
    """Train in a folder, which is made if need be."""
    from trainers.local import LocalTrainer

    def run(out: Path, *overrides: str, resume: bool = False, progress: Any = None) -> Any:
        out.mkdir(exist_ok=True)
        return LocalTrainer().train(recipe(*overrides), out, resume=resume, progress=progress)

    return run
