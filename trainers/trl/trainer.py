"""``trainer = "trl"``: a whole recipe through TRL, in this process."""

from __future__ import annotations

from pathlib import Path

from trainers.base import Progress, TrainResult
from trainers.config import TrainConfig
from trainers.tracking import alone_in
from trainers.trl.settings import checked


class TRLTrainer:
    """Trains through TRL; see :class:`trainers.base.Trainer`."""

    def train(
        self,
        config: TrainConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train; see :meth:`trainers.base.Trainer.train`.

        TRL seeds the generators of Python, NumPy and torch; torch's is left as it was found.
        """
        checked(config)
        import torch

        from trainers.trl.run import Run

        with torch.random.fork_rng(), alone_in(out):
            return Run(config, out, resume=resume).go(progress)
