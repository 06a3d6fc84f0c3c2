"""A trainer in one process, for a CPU or one GPU, made to be read.

    Player ──episodes──▶ Learner ──weights──▶ Policy ──▶ Player …

:mod:`~trainers.local.trainer` is the loop; what random numbers there are depend on the run's seed
and the step alone, so a run that was resumed goes on as if nothing had happened.
"""

from trainers.installed import require

require("local", "train", {"torch": "2.6", "transformers": "5.15"})

from trainers.local.trainer import LocalTrainer  # noqa: E402 - what it imports is there

__all__ = ["LocalTrainer"]
