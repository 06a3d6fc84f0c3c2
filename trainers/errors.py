"""What goes wrong while training, and with folders of results.

VisionThinkError
└── TrainingError       a run that cannot go on; the message says what is left of it
    ├── NotFinite       a loss or gradient that is NaN or infinite
    ├── CheckpointError a checkpoint that cannot be written or read
    └── Busy            another process is at work in the folder
"""

from __future__ import annotations

from vt_env.errors import Damaged as Damaged
from vt_env.errors import VisionThinkError


class TrainingError(VisionThinkError, RuntimeError):
    """A run cannot go on."""


class NotFinite(TrainingError):
    """A loss or a gradient is NaN or infinite."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written or read."""


class Busy(TrainingError):
    """Another process is at work in a folder of results."""
