"""Advantage estimators: from rewards to a number for each policy token.

Legend: R_i reward of rollout i, n scored rollouts of its group, m their mean, s their standard
deviation. Unscored rollouts and padding count nowhere and get 0. All functions are pure.

Common departure from the papers: where the numbers to be compared differ by at most ``TIE``, the
advantage is exactly 0. Dividing by ``s + ε`` instead turns the rounding of equal rewards
(0.1 + 0.2 against 0.3) into advantages of a visible size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.algorithms.batch import Batch
from trainers.algorithms.kl import Estimator, kl, masked

TIE = 1e-6
"""Rewards that differ by less are equal: above float32's rounding of a few added terms."""

EPSILON = 1e-6
"""Added to a standard deviation that divides."""


def has_signal(batch: Batch) -> Tensor:
    """bool [G]: groups whose scored rewards are not all equal.

    The others teach a group-relative algorithm nothing (dynamic sampling, 2503.14476, Eq. 11, in
    which a reward is right or wrong; here it is any number). Groups of fewer than two scored
    rollouts have no signal.
    """
    return _spread(batch.rewards, batch.scored).squeeze(-1) > TIE


def centred(scores: Tensor, scored: Tensor) -> Tensor:
    """R_i - m within each group: float [G, R]."""
    count = scored.sum(-1, keepdim=True).clamp(min=1)
    difference = scores - masked(scores, scored).sum(-1, keepdim=True) / count
    return masked(difference, scored & (_spread(scores, scored) > TIE))


def standardised(scores: Tensor, scored: Tensor) -> Tensor:
    """(R_i - m) / (s + ε) within each group: float [G, R] (GRPO, 2402.03300, Sec. 4.1.2).

    The paper does not say which deviation; s is that of a sample (divided by n - 1), as in
    the public implementations.
    """
    difference = centred(scores, scored)
    count = scored.sum(-1, keepdim=True)
    variance = difference.square().sum(-1, keepdim=True) / (count - 1).clamp(min=1)
    return difference / (variance.sqrt() + EPSILON)


def left_one_out(scores: Tensor, scored: Tensor) -> Tensor:
    """R_i - mean of the others' = n / (n - 1) · (R_i - m): float [G, R] (RLOO, 2402.14740)."""
    count = scored.sum(-1, keepdim=True)
    return centred(scores, scored) * count / (count - 1).clamp(min=1)


def whitened(advantages: Tensor, mask: Tensor) -> Tensor:
    """(A - mean) / (std + ε) over all tokens of ``mask``, each counting once.

    Args:
        advantages: float [...].
        mask: bool [...].
    """
    chosen = advantages[mask]
    if chosen.numel() < 2 or chosen.max() - chosen.min() <= TIE:
        return torch.zeros_like(advantages)
    return masked((advantages - chosen.mean()) / (chosen.std() + EPSILON), mask)


def spread_over_tokens(per_rollout: Tensor, mask: Tensor) -> Tensor:
    """One number a rollout, given to each of its policy tokens: [G, R] to [G, R, T]."""
    return masked(per_rollout.unsqueeze(-1).expand(mask.shape), mask)


def kl_penalty(batch: Batch, coefficient: float, estimator: Estimator) -> Tensor:
    """β · KL of each policy token under the policy that sampled it: float [G, R, T]."""
    if not coefficient or batch.ref_log_probs is None:
        return torch.zeros_like(masked(batch.old_log_probs, batch.mask))
    return masked(coefficient * kl(batch.old_log_probs, batch.ref_log_probs, estimator), batch.mask)


def token_rewards(batch: Batch, penalty: Tensor) -> Tensor:
    """r_t = 1[t is the last policy token] · R - β KL_t: float [G, R, T] (1909.08593, Eq. 2).

    Args:
        batch: The rollouts.
        penalty: β KL_t, float [G, R, T].
    """
    mask = batch.mask
    last = mask & (mask.flip(-1).cumsum(-1).flip(-1) == 1)
    rewards = masked(batch.rewards, batch.scored).unsqueeze(-1)
    return masked(masked(rewards.expand(mask.shape), last) - penalty, mask)


def rewards_to_go(rewards: Tensor) -> Tensor:
    """Σ_{u ≥ t} r_u, undiscounted: float [..., T]."""
    return rewards.flip(-1).cumsum(-1).flip(-1)


def gae(
    rewards: Tensor, values: Tensor, mask: Tensor, discount: float, decay: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation over the policy's tokens (1506.02438, Eq. 16).

        δ_t = r_t + γ V(s_t⁺) - V(s_t),    A_t = δ_t + γλ A_t⁺

    where t⁺ is the *next policy token*. Tokens of the environment are part of the transition,
    not steps: they are skipped, and neither γ nor λ decays over them. (Zeroing their values
    instead cuts the bootstrap at every turn, and decaying over them makes the result depend on
    how many tokens a picture has; both differ from this one when λ < 1.)

    After the last token V = 0, also where a length limit cut the rollout off: its reward is what
    the environment gave for that, and the state after the cut has no value estimate.

    Args:
        rewards: float [..., T], r_t.
        values: float [..., T], V(s_t), s_t being the context before token t.
        mask: bool [..., T].
        discount: γ, per policy token.
        decay: λ.

    Returns:
        Advantages A and returns A + V, each float [..., T] and 0 outside ``mask``.
    """
    rewards, values = masked(rewards, mask), masked(values, mask)
    advantages = torch.zeros_like(rewards + values)
    next_value = torch.zeros_like(advantages[..., 0])
    next_advantage = torch.zeros_like(next_value)
    for t in reversed(range(mask.shape[-1])):
        delta = rewards[..., t] + discount * next_value - values[..., t]
        advantage = delta + discount * decay * next_advantage
        advantages[..., t] = masked(advantage, mask[..., t])
        next_value = torch.where(mask[..., t], values[..., t], next_value)
        next_advantage = torch.where(mask[..., t], advantage, next_advantage)
    return advantages, advantages + values


def _spread(scores: Tensor, scored: Tensor) -> Tensor:
    """Largest minus smallest score of each group, -inf where none: float [G, 1]."""
    highest = torch.where(scored, scores, -torch.inf).amax(-1, keepdim=True)
    lowest = torch.where(scored, scores, torch.inf).amin(-1, keepdim=True)
    return highest - lowest
