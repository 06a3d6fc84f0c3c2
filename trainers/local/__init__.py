"""A trainer in one process, for a CPU or one GPU, made to be read.

    Player ──episodes──▶ Learner ──weights──▶ Policy ──▶ Player …

:mod:`~trainers.local.trainer` is the loop; what random numbers there are depend on the run's seed
and the step alone, so a run that was resumed goes on as if nothing had happened.
"""

from trainers.local.trainer import LocalTrainer

__all__ = ["LocalTrainer"]
