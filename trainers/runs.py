"""What the runs of every trainer have in common."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trainers.config import TrainConfig
from vt_env.errors import ConfigError

CHECKPOINTS = "checkpoint"
"""The folder of a run's checkpoints, in the folder of its results."""

_MAY_CHANGE = ("steps", "evaluation", "checkpoint", "tracking", "optimiser")


def score(evaluation: Mapping[str, float | None], config: TrainConfig) -> float | None:
    """What "best" compares: accuracy, less what requests and visual tokens pay in the reward.

    By accuracy alone a policy that always asks would be the best. Here every request pays the
    penalty, which in a group some do not.
    """
    names = ("eval/accuracy", "eval/request_rate", "eval/token_ratio")
    accuracy, requests, tokens = (evaluation.get(name) for name in names)
    if accuracy is None or requests is None or tokens is None or math.isnan(accuracy):
        return None
    reward = config.reward
    penalty = 0.0 if reward.penalty == "none" else reward.penalty_weight
    return reward.accuracy_weight * accuracy - penalty * requests - reward.token_price * tokens


def same_recipe(before: Mapping[str, Any], config: TrainConfig) -> None:
    """Refuse to go on with another recipe.

    Raises:
        ConfigError: Naming the setting that differs.
    """
    now = json.loads(json.dumps(asdict(config)))
    for name, value in now.items():
        if name in _MAY_CHANGE or value == (old := before.get(name)):
            continue
        if isinstance(value, dict) and isinstance(old, dict):
            key = next(k for k in (*value, *old) if value.get(k) != old.get(k))
            name, value, old = f"{name}.{key}", value.get(key), old.get(key)
        raise ConfigError(
            f"the run that is resumed has {name} = {old!r}, the recipe says {value!r}; "
            "set it back, or begin anew in another folder"
        )
