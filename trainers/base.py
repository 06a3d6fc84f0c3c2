"""What a trainer is, and trainers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from trainers.config import TrainConfig
from trainers.installed import missing
from vt_env.registry import Registry

Progress = Callable[[int, Mapping[str, float | None]], None]
"""Called after every step with the number of steps done and that step's line of the log."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished run leaves.

    Attributes:
        steps: Steps done, those before a resume included.
        checkpoint: The last checkpoint's model: a folder that loads in stock transformers.
        best: The best of the checkpoints that were measured on the validation split: by accuracy,
            less what all its requests and its visual tokens would pay in the reward.
        log: The log, ``metrics.jsonl``.
        evaluation: The last evaluation on the validation split, by metric.
        fingerprints: Hash of the model that it began with and of each data set, by its name in the
            recipe.
    """

    steps: int
    checkpoint: Path
    log: Path
    best: Path | None = None
    evaluation: Mapping[str, float | None] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Trainer(Protocol):
    """Turns a configuration into a trained model.

    It may have a ``check(config)`` too, see :func:`check_settings`.
    """

    def train(
        self,
        config: TrainConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train.

        Args:
            config: What to do.
            out: A folder for the log (``metrics.jsonl``) and the checkpoints (``checkpoint/``).
            resume: Go on from the newest good checkpoint in ``out``, if there is one. Else the
                folder must be absent or empty; see :func:`trainers.runs.run_folder`.
            progress: Told of every step.

        Raises:
            ConfigError: On settings that contradict each other or ``out``, or a model or data
                that are not those with which a resumed run began.
            TrainingError: If the run cannot go on; checkpoints that were good stay good.
        """
        ...


TRAINERS: Registry[Trainer] = Registry(
    "trainer",
    "vt.trainers",
    {
        "local": "trainers.local.trainer:LocalTrainer",
        "openrlhf": "trainers.openrlhf.run:make_trainer",
        "trl": "trainers.trl.trainer:TRLTrainer",
        "verl": "trainers.verl.run:make_trainer",
    },
)


def make_trainer(name: str, **options: Any) -> Trainer:
    """A trainer by name; see :func:`choose_trainer` for ``auto``.

    Raises:
        ConfigError: On an unknown name, or options that it does not take.
        MissingExtra: If it needs a package that is not installed.
    """
    return TRAINERS.make(choose_trainer(name)[0], **options)


def check_settings(trainer: Trainer, config: TrainConfig) -> None:
    """Refuse settings that a trainer cannot honour, before anything is loaded or written.

    Raises:
        ConfigError: Naming them.
    """
    if check := getattr(trainer, "check", None):
        check(config)


def choose_trainer(name: str) -> tuple[str, str]:
    """The trainer that a name stands for, and why.

    ``auto`` is OpenRLHF where it is installed and there is a GPU, else the local trainer.
    """
    if name != "auto":
        return name, "the recipe says so"
    if lacking := missing("openrlhf"):
        return "local", f"OpenRLHF is not installed ({lacking} is missing)"
    import torch

    if not torch.cuda.is_available():
        return "local", "OpenRLHF is installed, but there is no GPU"
    return "openrlhf", "OpenRLHF is installed and there is a GPU"
