"""Policy and value losses, as sums over tokens with explicit weights.

    L = Σ_{i,t} w_{i,t} · ℓ_{i,t}

The weights w hold the normaliser (:func:`shares`), so that a loss has no hidden mean: computed
on a slice, it is that slice's part of the whole. N rollouts, T token positions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trainers.algorithms.kl import bounded_exp, masked

Aggregation = Literal["token_mean", "sequence_mean", "constant"]
AGGREGATIONS = ("token_mean", "sequence_mean", "constant")


def shares(
    trained: Tensor, aggregation: Aggregation, horizon: float, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Share of each token in the loss: float [N, T].

    * ``token_mean``: 1 / (trained tokens in all). Long rollouts weigh more (DAPO, 2503.14476,
      Eq. 12, which sums over a group; here over the batch).
    * ``sequence_mean``: 1 / (rollouts · tokens of the rollout). Each rollout weighs the same, so
      a token of a long one weighs less (GRPO, 2402.03300, Eq. 3).
    * ``constant``: 1 / (rollouts · ``horizon``), whatever the lengths (Dr. GRPO, 2503.20783,
      Sec. 3.2). With a horizon of 1, the gradient of whole-sequence log-probabilities.

    Only rollouts with a trained token count, and only trained tokens.

    Args:
        trained: bool [N, T].
        aggregation: The rule.
        horizon: Tokens that ``constant`` divides by, e.g. the longest reply allowed.
        dtype: Of the result.
    """
    ones = trained.to(dtype)
    tokens = trained.sum(-1, keepdim=True).clamp(min=1)
    rollouts = trained.any(-1).sum().clamp(min=1)
    if aggregation == "token_mean":
        return ones / trained.sum().clamp(min=1)
    if aggregation == "sequence_mean":
        return ones / (rollouts * tokens)
    return ones / (rollouts * horizon)


def token_ratio(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """π(a_t|s_t) / π_old(a_t|s_t): float [N, T]; 1 outside ``mask``."""
    return bounded_exp(masked(log_probs, mask) - masked(old_log_probs, mask))


def sequence_ratio(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """GSPO's ratio, the same for each token of a rollout: float [N, T] (2507.18071, Eq. 7).

        s_i = exp(1/|y_i| · Σ_t (log π - log π_old)_t)

    In the form of Eq. 14 (GSPO-token), sg[s_i] · π_t / sg[π_t]: the value is s_i everywhere,
    and each token brings its own gradient, which under one advantage a rollout is that of Eq. 5
    and is right under one a token too.

    Args:
        log_probs: float [N, T].
        old_log_probs: float [N, T].
        mask: bool [N, T]. The tokens that make up y_i.
    """
    log_probs = masked(log_probs, mask)
    difference = log_probs.detach() - masked(old_log_probs, mask)
    length = mask.sum(-1, keepdim=True).clamp(min=1)
    sequence = difference.sum(-1, keepdim=True) / length
    return bounded_exp(sequence + log_probs - log_probs.detach())


def clipped_surrogate(
    ratio: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> tuple[Tensor, Tensor]:
    """-min(ρ A, clip(ρ, 1 - ε_low, 1 + ε_high) A) of each token (PPO, 1707.06347, Eq. 7).

    Two bounds are DAPO's clip-higher (2503.14476, Eq. 10): a larger ε_high lets unlikely tokens
    grow. As in PPO, a ratio on the side where A already pulls it back is not clipped.

    Returns:
        The losses, float [N, T], and where the clip took the gradient away, bool [N, T].
    """
    plain = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    return -torch.minimum(plain, clipped), clipped < plain


def clipped_value_error(
    values: Tensor, old_values: Tensor, returns: Tensor, clip: float | None
) -> tuple[Tensor, Tensor]:
    """½ max((V - G)², (V_clip - G)²) with V_clip = V_old + clip(V - V_old, ±ε), of each token.

    Without a clip, ½ (V - G)² (the squared error of 1707.06347, Eq. 9). The clip is not in the
    paper but in its authors' code; its worth is disputed (2006.05990).

    Returns:
        The losses, float [N, T], and where the clip was active, bool [N, T].
    """
    error = (values - returns).square()
    if clip is None:
        return error / 2, torch.zeros_like(error, dtype=torch.bool)
    bounded = old_values + (values - old_values).clamp(-clip, clip)
    bounded_error = (bounded - returns).square()
    return torch.maximum(error, bounded_error) / 2, bounded_error > error
