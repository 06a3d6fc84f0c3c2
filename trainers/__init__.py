# ruff: noqa: E402
"""Learning from episodes: trainers by name, and what every one of them needs.

Rewards and the environment come only from ``vt_env``; a trainer never computes a reward.
"""

from vt_env.packages import settle

settle(__name__)  # before anything is imported by these names

from trainers.base import (
    TRAINERS,
    Progress,
    Trainer,
    TrainResult,
    check_settings,
    choose_trainer,
    make_trainer,
)
from trainers.checkpoint import Checkpoint, CheckpointStore
from trainers.config import TrainConfig
from trainers.errors import CheckpointError, NotFinite, TrainingError

__all__ = [
    "TRAINERS",
    "Checkpoint",
    "CheckpointError",
    "CheckpointStore",
    "NotFinite",
    "Progress",
    "TrainConfig",
    "TrainResult",
    "Trainer",
    "TrainingError",
    "check_settings",
    "choose_trainer",
    "make_trainer",
]
