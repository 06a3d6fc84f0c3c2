"""Recipes and an untrained policy for the trainer ``openrlhf``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_runs import ON_A_CPU, SMALL

from experiments.recipe import load_recipe
from trainers import TrainConfig


@pytest.fixture(scope="module")
def ray_started() -> Callable[..., None]:
    """``ray.init``, again where a busy machine did not bring a node up in Ray's own 30 seconds."""
    import ray

    def start(**settings: Any) -> None:
        for left in (2, 1, 0):
            try:
                ray.init(include_dashboard=False, **settings)
            except Exception as error:  # Ray raises no class of its own
                if not left or "timed out during startup" not in str(error):
                    raise
                ray.shutdown()
            else:
                return

    return start


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny policy that has learnt nothing."""
    from agents.tiny import make_vlm, save

    return save(make_vlm(), tmp_path_factory.mktemp("untrained"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has half learnt the format, so that it asks and its rewards differ."""
    import torch

    from agents.tiny.warmup import WarmupConfig, warm_up

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    warm_up(WarmupConfig(reading=0, steps=120, batch=8), folder, seed=1)
    return folder


@pytest.fixture
def recipe(untrained: Path) -> Callable[..., TrainConfig]:
    """The laptop's recipe for OpenRLHF on a CPU, made small."""

    def make(*overrides: str) -> TrainConfig:
        settings = [f"model.path={untrained}", *ON_A_CPU, *SMALL, *overrides]
        return load_recipe("laptop", settings)

    return make
