"""TRL's GRPOTrainer on the project's environment.

    source ──rows──────────▶ GRPOTrainer ──reset, call──▶ VisionThink ──▶ Dialogue
    processor ─────────────▶      │                                         │
                                  └──turns──▶ Scoring ──gather──▶ judge, group rewards
                                                 └──episodes──▶ metrics.jsonl

TRL generates, computes log-probabilities, advantages and the loss, and takes the gradient steps.
What is said, shown, judged and rewarded is the environment's (:mod:`vt_env`).

:func:`adapt` gives what any trainer of TRL needs that takes an ``environment_factory``;
:func:`grpo_trainer` makes a GRPOTrainer; the trainer ``trl`` plays a whole recipe. Only
:mod:`~trainers.trl.adapter`, :mod:`~trainers.trl.grpo` and :mod:`~trainers.trl.run` import what TRL
brings, and nothing imports them until a trainer is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainers.trl.adapter import Adapter, adapt, grpo_trainer

__all__ = ["Adapter", "adapt", "grpo_trainer"]


def require_trl() -> None:
    """Make sure of TRL's release.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release.
    """
    from trainers.installed import require, require_release

    require_release("trl")
    require("trl", "trl", {"torch": "2.6", "transformers": "5.15"})


def __getattr__(name: str) -> Any:
    """What is above, imported when it is asked for: a recipe is checked without TRL."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_trl()
    from trainers.trl import adapter

    return getattr(adapter, name)
