"""TRL itself: make test-trl."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
try:
    from trl import GRPOTrainer  # noqa: F401 - this folder is a package of that name too
except ImportError:  # its tests need an environment of their own
    collect_ignore_glob = ["test_*.py"]

sys.path += [str(Path(__file__).parents[1] / name) for name in ("conformance", "agents")]


def settings_for(folder: Path) -> Callable[..., Any]:
    """TRL's settings for a CPU, all of a process's rollouts in one batch."""
    from trl import GRPOConfig

    def make(rollouts: int, group_size: int, **more: Any) -> GRPOConfig:
        chosen = {
            "output_dir": str(folder / "trl"),
            "per_device_train_batch_size": rollouts,
            "num_generations": group_size,
            "max_completion_length": 400,
            "shuffle_dataset": False,
            "gradient_checkpointing": False,
            "bf16": False,
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "save_strategy": "no",
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
        }
        return GRPOConfig(**{**chosen, **more})

    return make


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny policy that has learnt nothing."""
    from agents.tiny import make_vlm, save

    return save(make_vlm(), tmp_path_factory.mktemp("untrained"))


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Any]:
    """Makes TRL's settings."""
    return settings_for(tmp_path)
