"""The project's advantages as verl's estimators: ``visionthink-grpo``, ``visionthink-rloo``, ….

verl's own estimators take every rollout for scored and divide rounding errors by a vanishing
deviation where rewards tie. These are :mod:`trainers.algorithms`'s. An estimator of verl sees
rewards, masks and which question a rollout belongs to, and nothing else of it: so the group's
penalty is in the reward already (:mod:`trainers.verl.loop` waits for all siblings), and a rollout
whose mask is all zeros is unscored, whatever its reward.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from verl.trainer.ppo.core_algos import register_adv_est

from trainers.algorithms import Algorithm, Batch, make_algorithm
from trainers.verl.flags import ALGORITHMS, estimator_of

Estimate = Callable[..., tuple[Tensor, Tensor]]


def advantages(
    algorithm: Algorithm, rewards: Tensor, mask: Tensor, groups: Sequence[Hashable]
) -> Tensor:
    """Advantages of rollouts in any order.

    Args:
        algorithm: Whose estimator.
        rewards: float [N], of whole rollouts.
        mask: bool [N, T], the policy's tokens. A rollout without any is unscored.
        groups: N; equal where rollouts answer the same question.

    Returns:
        float [N, T], 0 outside the mask.
    """
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    most = max(map(len, members.values()))
    places = torch.full((len(members), most), -1)  # a group that is short is padded
    for place, rows in zip(places, members.values(), strict=True):
        place[: len(rows)] = torch.tensor(rows)
    there = places >= 0
    shaped = mask[places] & there.unsqueeze(-1)
    scored = shaped.any(-1)
    batch = Batch(
        rewards=torch.where(scored, rewards[places], torch.nan),
        mask=shaped,
        old_log_probs=torch.zeros(shaped.shape, dtype=rewards.dtype),
    )
    targets, _ = algorithm.targets(batch)
    made = torch.zeros(mask.shape, dtype=rewards.dtype)
    made[places[there]] = targets.advantages.unflatten(0, places.shape)[there]
    return made


def _estimate(name: str) -> Estimate:
    """verl's form of it."""
    algorithm = replace(make_algorithm(name), kl_coef=0.0, mask_truncated=False)

    def estimate(
        token_level_rewards: Tensor,
        response_mask: Tensor,
        index: Sequence[Hashable],
        config: Any = None,
        **_: Any,
    ) -> tuple[Tensor, Tensor]:
        """Advantages, and again as returns.

        Args:
            token_level_rewards: float [N, T], each rollout's reward at its last token.
            response_mask: [N, T].
            index: N ids of questions.
            config: Not used.
            **_: What other estimators of verl take.
        """
        made = advantages(algorithm, token_level_rewards.sum(-1), response_mask.bool(), list(index))
        return made, made

    return estimate


for _name in ALGORITHMS:
    register_adv_est(estimator_of(_name))(_estimate(_name))
