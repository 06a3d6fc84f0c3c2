"""What is known of a run so far: each look adds to it, and later ones build on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.models import VisionLanguageModel
from trainers.base import Trainer
from trainers.config import TrainConfig
from trainers.preflight.sizes import Load, Shape
from vt_env.task import Task


@dataclass
class Known:
    """What is known.

    Attributes:
        config: The recipe, whose trainer is no longer ``auto``.
        trainer: Its trainer, once it could be made.
        out: Where the run will be.
        gpu: The name of its GPUs; ``None``: what is found here.
        price: Of a GPU for an hour, in any currency.
        tasks: By split.
        processor: The model without its weights.
        shape: Of the model.
        load: Of a step.
        longest: Samples whose rollouts can be the longest, the longest first.
        facts: Numbers for the record.
    """

    config: TrainConfig
    out: Path
    gpu: str | None = None
    price: float | None = None
    trainer: Trainer | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    processor: VisionLanguageModel | None = None
    shape: Shape | None = None
    load: Load | None = None
    longest: Sequence[str] = ()
    facts: dict[str, float] = field(default_factory=dict)
