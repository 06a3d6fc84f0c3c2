"""``trainer = "trl"``: a whole recipe through TRL, in this process."""

from __future__ import annotations

from pathlib import Path

from trainers.base import Progress, TrainResult
from trainers.config import TrainConfig
from trainers.runs import RunTrainer
from trainers.trl import require_trl
from trainers.trl.settings import checked


class TRLTrainer(RunTrainer):
    """Trains through TRL.

    Raises:
        MissingExtra: If TRL is not installed.
        ConfigError: If another release of it is.
    """

    def __init__(self) -> None:
        require_trl()

    def check(self, config: TrainConfig) -> None:
        """Refuse settings that cannot be honoured; see :func:`trainers.base.check_settings`."""
        checked(config)

    def run(self, config: TrainConfig, out: Path, progress: Progress | None) -> TrainResult:
        """Train; TRL seeds the generators of Python, NumPy and torch, which is left as it was."""
        import torch

        from trainers.trl.run import TRLRun

        with torch.random.fork_rng():
            return TRLRun(config, out).go(progress)
