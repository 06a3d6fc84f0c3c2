"""The algorithms: each is its defaults and its advantage estimator.

Legend: A_i advantage of rollout i (of each of its policy tokens), A_t one a token, R_i reward,
ρ importance ratio, β the KL's weight. Where no source is given for a default, it is
:class:`~trainers.algorithms.base.Algorithm`'s.

What all have in common, and no paper has: unscored rollouts (reward NaN) count nowhere; tokens
of the environment lie between the turns and are in no sum; groups may differ in their number of
scored rollouts, and every rollout weighs the same, not every group. KL as a reward enters where
RLOO and PPO have it: group-relative estimators see R_i - β Σ_t KL_t.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from trainers.algorithms.advantages import (
    centred,
    gae,
    left_one_out,
    rewards_to_go,
    spread_over_tokens,
    standardised,
    token_rewards,
    whitened,
)
from trainers.algorithms.base import Algorithm
from trainers.algorithms.batch import Batch, Targets, required
from trainers.algorithms.kl import Estimator, masked
from trainers.algorithms.losses import Aggregation, clipped_value_error
from trainers.algorithms.metrics import PartMetrics, mean_over
from vt_env.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class PPO(Algorithm):
    """Proximal policy optimisation with a critic (1707.06347, Eq. 7 and 9; GAE: 1506.02438).

        A_t = GAE(r, V; γ, λ),   r_t = 1[t last] R - β KL_t
        L = mean over tokens of -min(ρ_t A_t, clip(ρ_t, 1 - ε, 1 + ε) A_t)

    Departures: advantages are whitened over the batch (in the authors' code, not in the paper);
    GAE steps over the environment's tokens; no bonus for entropy, which is the trainer's.

    Attributes:
        discount: γ per policy token; 1, as in InstructGPT (2203.02155, App. C).
        decay: λ (0.95: 1707.06347, Table 3). With γ = λ = 1 the critic is a baseline only.
        whiten: Whether advantages are standardised over the tokens of the batch.
        value_clip: ε of the value's clip (0.2: the authors' code); ``None`` is none.
        value_coef: Factor on the value loss (c₁ = 1: 1707.06347, Table 5).
    """

    needs_critic: ClassVar[bool] = True

    kl_in: Literal["loss", "reward"] = "reward"
    kl_estimator: Estimator = "k1"
    discount: float = 1.0
    decay: float = 0.95
    whiten: bool = True
    value_clip: float | None = 0.2
    value_coef: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("discount", "decay"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {value}")
        if self.value_clip is not None and not self.value_clip > 0:
            raise ConfigError(f"value_clip must be positive or None, got {self.value_clip}")
        if not 0 <= self.value_coef < float("inf"):
            raise ConfigError(f"value_coef must be at least 0, got {self.value_coef}")

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """GAE over policy tokens; returns are A + V before whitening."""
        values = required(batch.values, "values", "GAE")
        usable = batch.mask & batch.scored.unsqueeze(-1)
        rewards = token_rewards(batch, penalty)
        advantages, returns = gae(rewards, values, usable, self.discount, self.decay)
        return (whitened(advantages, usable) if self.whiten else advantages), returns

    def value_loss(self, values: Tensor, targets: Targets) -> tuple[Tensor, PartMetrics]:
        """This slice's part of c₁ · mean over tokens of ½ (V - G)², clipped.

        Args:
            values: float [N, T], the critic's values with gradient.
            targets: The slice.

        Returns:
            The loss, a scalar to be summed over slices, and metrics for ``merge_metrics``.
        """
        mask = targets.critic
        if values.shape != mask.shape:
            raise DataError(f"values must be {tuple(mask.shape)}, got {tuple(values.shape)}")
        if targets.values is None or targets.returns is None:
            raise DataError("the value loss needs the targets of an algorithm with a critic")
        error, clipped = clipped_value_error(
            masked(values, mask),
            masked(targets.values, mask),
            masked(targets.returns, mask),
            self.value_clip,
        )
        total = self.value_coef * (targets.value_weights * error).sum()
        return total, {
            "value_loss": total.detach(),
            "value_tokens": mask.sum(),
            "value_clip_fraction": mean_over(clipped.to(error.dtype), mask),
        }


@dataclass(frozen=True, kw_only=True)
class GRPO(Algorithm):
    """Group relative policy optimisation (2402.03300, Eq. 3 and Sec. 4.1.2).

        A_i = (R_i - mean(R)) / std(R)   over the rollouts of one question
        L = 1/N Σ_i 1/|o_i| Σ_t [-min(ρ_t A_i, clip(ρ_t, 1 - ε, 1 + ε) A_i) + β k3_t]

    β = 0.04 is the paper's (Sec. 4.2); DeepSeek-R1 and VisionThink (2507.13348) use 0.001. The
    paper gives no ε; 0.2 is PPO's.
    """

    aggregation: Aggregation = "sequence_mean"
    kl_coef: float = 0.04

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Standardised within the group."""
        scores = batch.rewards - penalty.sum(-1)
        return spread_over_tokens(standardised(scores, batch.scored), batch.mask), None


@dataclass(frozen=True, kw_only=True)
class DrGRPO(Algorithm):
    """GRPO done right: without its two biases (2503.20783, Sec. 3.2).

        A_i = R_i - mean(R)
        L = 1/(N · L_max) Σ_i Σ_t -min(ρ_t A_i, clip(ρ_t, 1 - ε, 1 + ε) A_i)

    Dividing by std(R) favours questions that are nearly always right or nearly always wrong;
    dividing by |o_i| makes long wrong answers cheap. L_max is ``horizon``: set it to the longest
    reply allowed. No KL (β = 0).
    """

    aggregation: Aggregation = "constant"

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Centred within the group."""
        scores = batch.rewards - penalty.sum(-1)
        return spread_over_tokens(centred(scores, batch.scored), batch.mask), None


@dataclass(frozen=True, kw_only=True)
class RLOO(Algorithm):
    """REINFORCE with the others' mean as a baseline (2402.14740; Kool et al., 2019).

        A_i = R_i - mean of the other rollouts' R,   R_i = R - β Σ_t KL_t
        ∇L = -1/N Σ_i A_i Σ_t ∇ log π_t              (a whole reply is one action)

    Departure: PPO's clipped ratio of each token, which is 1 on the first pass, where the gradient
    is the one above; the paper has neither. The KL is in the reward; β = 0 here, to be set by
    the task (``kl_coef``). The loss sums over a reply, so its size grows with the length.
    """

    aggregation: Aggregation = "constant"
    horizon: float = 1
    kl_in: Literal["loss", "reward"] = "reward"
    kl_estimator: Estimator = "k1"

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Leave-one-out within the group."""
        scores = batch.rewards - penalty.sum(-1)
        return spread_over_tokens(left_one_out(scores, batch.scored), batch.mask), None


@dataclass(frozen=True, kw_only=True)
class ReinforcePlusPlus(Algorithm):
    """REINFORCE++: no critic, no groups; statistics of the whole batch (2501.03262).

        A_t = whiten(R - β Σ_{u ≥ t} k1_u)   over all tokens of the batch
        L = mean over tokens of PPO's clipped loss

    For one rollout a question too (R = 1). A group whose rewards are all equal still has a
    signal here: it is compared with the rest of the batch. β is 0 here, to be set by the task.
    """

    kl_in: Literal["loss", "reward"] = "reward"
    kl_estimator: Estimator = "k1"

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Rewards-to-go, whitened over the batch."""
        to_go = rewards_to_go(token_rewards(batch, penalty))
        return whitened(to_go, batch.mask & batch.scored.unsqueeze(-1)), None


@dataclass(frozen=True, kw_only=True)
class ReinforcePlusPlusBaseline(Algorithm):
    """REINFORCE++ with the group's mean as a baseline (2501.03262, "w/ baseline").

        A_t = whiten(R_i - mean of the group's R)   over all tokens of the batch
        L = mean over tokens of PPO's clipped loss + β k2_t

    So the baseline is the question's, and the scale is the batch's: unlike in GRPO, questions
    with a small spread stay small. The KL is a loss (k2). With ``kl_in="reward"``, each token is
    charged for the KL to come, after the group's mean is taken. A group whose rewards are all
    equal gets the batch's mean advantage with its sign turned, which is 0 where all replies are
    of one length and nearly 0 elsewhere; ``drop_without_signal`` leaves it out.
    """

    kl_estimator: Estimator = "k2"

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Centred within the group, then whitened over the batch."""
        to_come = rewards_to_go(penalty)
        relative = spread_over_tokens(centred(batch.rewards, batch.scored), batch.mask) - to_come
        return whitened(relative, batch.mask & batch.scored.unsqueeze(-1)), None


@dataclass(frozen=True, kw_only=True)
class DAPO(GRPO):
    """GRPO with decoupled clip and dynamic sampling (2503.14476, Eq. 8 to 12).

        A_i as in GRPO
        L = 1/Σ_i |o_i| Σ_i Σ_t -min(ρ_t A_i, clip(ρ_t, 1 - ε_low, 1 + ε_high) A_i)

    ε_low = 0.2, ε_high = 0.28 (Sec. 4.1), no KL (Sec. 2.3), cut-off replies out of the loss
    (Sec. 3.4, "overlong filtering"), groups without signal dropped (Eq. 11): a trainer samples
    further questions until enough groups pass :func:`~trainers.algorithms.has_signal`.
    Departures: tokens are averaged over the batch, where Eq. 8 averages over a group and then
    over groups; the soft punishment of long replies (Eq. 13) is a reward, so the environment's.
    """

    clip_high: float = 0.28
    aggregation: Aggregation = "token_mean"
    kl_coef: float = 0.0
    drop_without_signal: bool = True
    mask_truncated: bool = True


@dataclass(frozen=True, kw_only=True)
class GSPO(GRPO):
    """Group sequence policy optimisation (2507.18071, Eq. 5 to 7).

        A_i as in GRPO,   s_i = (π(y_i) / π_old(y_i))^(1/|y_i|)
        L = 1/N Σ_i -min(s_i A_i, clip(s_i, 1 - ε_low, 1 + ε_high) A_i)

    ε_low = 3e-4, ε_high = 4e-4 (Sec. 5.1): ratios of whole replies stay close to 1. The paper
    has no KL term. |y_i| counts the tokens in the loss: neither the environment's, nor forced
    ones that are left out.
    """

    clip_low: float = 3e-4
    clip_high: float = 4e-4
    ratio: Literal["token", "sequence"] = "sequence"
    kl_coef: float = 0.0
