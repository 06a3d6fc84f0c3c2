"""What goes wrong while training.

VisionThinkError
└── TrainingError       a run that cannot go on; the message says what is left of it
    ├── NotFinite       a loss or gradient that is NaN or infinite
    └── CheckpointError a checkpoint that cannot be written or read
"""

from __future__ import annotations

from vt_env.errors import VisionThinkError


class TrainingError(VisionThinkError, RuntimeError):
    """A run cannot go on."""


class NotFinite(TrainingError):
    """A loss or a gradient is NaN or infinite."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be written or read."""
