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

from trainers.installed import require, require_release

require_release("trl")
require("trl", "trl", {"torch": "2.6", "transformers": "5.15"})

from trainers.trl.adapter import Adapter, adapt, grpo_trainer  # noqa: E402 - what it imports is there

__all__ = ["Adapter", "adapt", "grpo_trainer"]
