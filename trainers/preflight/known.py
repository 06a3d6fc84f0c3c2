"""What is known of a run so far: each look adds to it, and later ones build on it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.models import VisionLanguageModel
from trainers.base import Trainer
from trainers.config import TrainConfig
from trainers.preflight.sizes import Gpu, Load, Shape
from vt_env.task import Task

_KEYS = ("OPENAI_API_KEY", "HF_TOKEN", "HF_HOME", "HF_HUB_OFFLINE", "WANDB_API_KEY", "VT_CACHE")


def keys_set() -> list[str]:
    """Names of the variables that a run reads, as far as this process has them."""
    return [key for key in _KEYS if os.environ.get(key)]


@dataclass
class Known:
    """What is known.

    Attributes:
        config: The recipe, whose trainer is no longer ``auto``.
        trainer: Its trainer, once it could be made.
        out: Where the run will be.
        gpu: Its GPUs, as a user named them; ``None``: what is found here.
        price: Of a GPU for an hour, in any currency.
        tasks: By split.
        processor: The model without its weights.
        shape: Of the model.
        load: Of a step.
        longest: Samples whose rollouts can be the longest, the longest first.
        facts: Numbers for the record.
        keys: Variables that are set in this process, of those that runs read.
    """

    config: TrainConfig
    out: Path
    gpu: Gpu | None = None
    price: float | None = None
    trainer: Trainer | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    processor: VisionLanguageModel | None = None
    shape: Shape | None = None
    load: Load | None = None
    longest: Sequence[str] = ()
    facts: dict[str, float] = field(default_factory=dict)
    keys: Sequence[str] = field(default_factory=keys_set)
