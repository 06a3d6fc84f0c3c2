"""Estimators of KL(policy ‖ reference) from the sampled token alone.

With x ~ π and d = log π(x) - log π_ref(x) (J. Schulman, "Approximating KL divergence", 2020):

    k1 = d                          unbiased, may be negative
    k2 = d² / 2                     biased, never negative, low variance
    k3 = exp(-d) - 1 + d            unbiased, never negative, low variance (2402.03300, Eq. 4)

What an estimator is worth depends on its *gradient*. On policy:

* in the **reward** only k1 has the gradient of the KL. With k3 it is
  ∇ KL(π ‖ π_ref) - ∇ KL(π_ref ‖ π), next to nothing near the reference, and away from it where π
  gives up what π_ref says; k2 and k3 are refused there;
* as a **loss**, k1's gradient is E[∇ log π] = 0, that is noise, and it is refused here; k2's is
  that of KL(π ‖ π_ref); k3's is that of the *reverse* divergence KL(π_ref ‖ π).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Estimator = Literal["k1", "k2", "k3"]
ESTIMATORS = ("k1", "k2", "k3")

MAX_LOG_RATIO = 20.0
"""Log-ratios are cut to ±20 nats before ``exp``: e²⁰ ≈ 5e8 is finite in float32, its gradient too.

Beyond, the gradient of a ratio is 0. No paper mentions it; without it one token can make a step
infinite.
"""


def bounded_exp(log_ratio: Tensor) -> Tensor:
    """``exp`` of a log-ratio that is cut to ±``MAX_LOG_RATIO``."""
    return log_ratio.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()


def kl(log_probs: Tensor, ref_log_probs: Tensor, estimator: Estimator) -> Tensor:
    """Estimate of the KL divergence at each token, in nats.

    Args:
        log_probs: float [...], log-probability of the sampled token under the policy.
        ref_log_probs: float [...], under the reference; no gradient flows into it.
        estimator: See the head of this module.
    """
    difference = log_probs - ref_log_probs.detach()
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    return bounded_exp(-difference) - 1 + difference


def masked(tensor: Tensor, mask: Tensor) -> Tensor:
    """``tensor`` where ``mask``, else 0, in at least float32.

    What stands outside may be NaN or infinite: it reaches neither the value nor the gradient.
    """
    wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return torch.where(mask, wide, 0.0)
