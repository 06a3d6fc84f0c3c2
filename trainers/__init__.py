"""Learning from episodes: trainers by name, and what every one of them needs.

Rewards and the environment come only from ``vt_env``; a trainer never computes a reward.
"""

from trainers.base import (
    TRAINERS,
    Progress,
    Trainer,
    TrainResult,
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
    "choose_trainer",
    "make_trainer",
]
