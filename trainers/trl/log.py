"""TRL's numbers and those of the episodes, under the names that every trainer's log has."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback

from trainers.local.metrics import Numbers, judge_metrics, rollout_metrics
from trainers.tracking import Tracker
from trainers.trl.scoring import Scoring
from vt_env.judges.models import usage_of

_TOLD_AS = {
    "loss": "train/policy_loss",
    "kl": "train/kl",
    "entropy": "train/entropy",
    "clip_ratio/region_mean": "train/clip_fraction",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
}


def told(logs: Mapping[str, Any], scoring: Scoring) -> Numbers:
    """A line of the log.

    Args:
        logs: What TRL says of the updates since it last did.
        scoring: Has the episodes since.
    """
    return {
        **{name: logs[key] for key, name in _TOLD_AS.items() if key in logs},
        **rollout_metrics(scoring.take(), scoring.group_size),
        **judge_metrics([usage_of(scoring.task.judge)]),
    }


class Log(TrainerCallback):
    """Writes a line each time TRL logs; ``step`` is the number of updates.

    Args:
        tracker: The log.
        scoring: Has the episodes.
    """

    def __init__(self, tracker: Tracker, scoring: Scoring) -> None:
        self.tracker = tracker
        self.scoring = scoring
        self.scoring.episodes = []
        self._began = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The clock starts."""
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """TRL logged."""
        if not logs or "loss" not in logs or not self.scoring.episodes:
            return
        now = time.perf_counter()
        line = {**told(logs, self.scoring), "time/step": now - self._began}
        self._began = now
        self.tracker.log(state.global_step, line)
