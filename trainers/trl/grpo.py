"""TRL's GRPOTrainer, in whose loss a rollout without a trained token counts nowhere.

TRL gives an unscored rollout an advantage of 0, and still has its KL and its tokens in the loss.
Where its loss is a mean over rollouts, it divides by those that are masked too. Here, as in the
local trainer, both are left out of the whole batch.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer

_OVER_ROLLOUTS = ("grpo", "luspo")
"""Those of TRL's losses in the recipes that are means over rollouts."""


class ScoredGRPOTrainer(GRPOTrainer):
    """TRL's; see this module."""

    def _calculate_rewards(self, *what: Any) -> Tensor:
        rewards = super()._calculate_rewards(*what)  # of all processes, [rollouts, functions]
        self._scored = ~rewards.isnan().all(1)
        return rewards

    def _generate_and_score_completions(self, inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        made = super()._generate_and_score_completions(inputs)
        whole = made["completion_mask"]
        begin = self.accelerator.process_index * len(whole)
        scored = self._scored[begin : begin + len(whole)].unsqueeze(1)
        made["tool_mask"] = made.get("tool_mask", torch.ones_like(whole)) * scored
        mask = whole * made["tool_mask"]
        mine = torch.stack([mask.sum(), mask.any(1).sum(), mask.new_tensor(len(mask))])
        tokens, rollouts, every = self.accelerator.gather(mine.unsqueeze(0)).sum(0)
        made["num_items_in_batch"] = tokens
        over_rollouts = self.loss_type in _OVER_ROLLOUTS
        made["scale"] = every / rollouts.clamp(min=1) if over_rollouts else torch.ones_like(every)
        return made

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        return super()._compute_loss(model, inputs) * inputs["scale"]
