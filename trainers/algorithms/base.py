"""What an algorithm is: hyper-parameters, an advantage estimator and a policy loss.

A trainer's step:

    targets, metrics = algorithm.targets(batch)                     # once, on the whole batch
    for minibatch in algorithm.minibatches(targets, 4, generator):  # one optimiser step each
        for part in minibatch.split(8):                             # gradient accumulation
            loss, part_metrics = algorithm.policy_loss(log_probs_of(part), part)
            loss.backward()
        optimiser.step()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from trainers.algorithms.advantages import has_signal, kl_penalty
from trainers.algorithms.batch import Batch, Targets, required
from trainers.algorithms.kl import ESTIMATORS, Estimator, kl, masked
from trainers.algorithms.losses import (
    AGGREGATIONS,
    Aggregation,
    clipped_surrogate,
    sequence_ratio,
    shares,
    token_ratio,
)
from trainers.algorithms.metrics import Metrics, PartMetrics, deviation_over, mean_over
from vt_env.errors import ConfigError, DataError, unknown_name

RATIOS = {"token": token_ratio, "sequence": sequence_ratio}
CHOICES = {
    "ratio": tuple(RATIOS),
    "aggregation": AGGREGATIONS,
    "kl_in": ("loss", "reward"),
    "kl_estimator": ESTIMATORS,
    "forced": ("positive", "always", "never"),
}
AT_LEAST_ZERO = ("clip_low", "clip_high", "kl_coef")


@dataclass(frozen=True, kw_only=True)
class Algorithm(ABC):
    """Hyper-parameters that all algorithms share; a subclass sets its own defaults.

    Attributes:
        clip_low: ε_low: a ratio below 1 - ε_low stops falling. At least 0.
        clip_high: ε_high: a ratio above 1 + ε_high stops rising. At least 0.
        ratio: Importance ratio of each token, or GSPO's of the whole ``sequence``.
        aggregation: How tokens are averaged, see :func:`~trainers.algorithms.losses.shares`.
        horizon: Tokens that ``aggregation="constant"`` divides by. Never taken from the data:
            a normaliser that follows the longest reply would depend on padding.
        kl_coef: β, the weight of the KL to the reference; 0 is none.
        kl_in: Whether the KL is part of the ``loss`` or of the ``reward``.
        kl_estimator: ``k1``, ``k2`` or ``k3``, see :mod:`trainers.algorithms.kl`.
        drop_without_signal: Leave groups whose rewards are all equal out of the policy's loss. In
            group-relative algorithms their advantages are 0 anyway; dropped, they count in no
            normaliser and get no KL loss either.
        mask_truncated: Leave rollouts that a length limit cut off out of the losses. Their
            rewards still count in their group's statistics.
        forced: Which forced tokens are trained on: those whose advantage is ``positive`` (a
            choice that the policy did not make is worth imitating where it paid, and no evidence
            against the policy where it did not), ``always`` or ``never``.

    Raises:
        ConfigError: On a value that is unknown, out of range, or contradicts another.
    """

    needs_critic: ClassVar[bool] = False
    needs_tool: ClassVar[bool] = False
    """Whether it learns from a second reward channel, with credit by turn."""

    clip_low: float = 0.2
    clip_high: float = 0.2
    ratio: Literal["token", "sequence"] = "token"
    aggregation: Aggregation = "token_mean"
    horizon: float = 1024
    kl_coef: float = 0.0
    kl_in: Literal["loss", "reward"] = "loss"
    kl_estimator: Estimator = "k3"
    drop_without_signal: bool = False
    mask_truncated: bool = False
    forced: Literal["positive", "always", "never"] = "positive"

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise unknown_name(name, value, choices)
        for name in AT_LEAST_ZERO:
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be a finite number of at least 0, got {value}")
        if not 0 < self.horizon < float("inf"):
            raise ConfigError(f"horizon must be a positive number, got {self.horizon}")
        if self.kl_coef and (self.kl_in == "reward") != (self.kl_estimator == "k1"):
            right = "k1" if self.kl_in == "reward" else "k2' or 'k3"
            other = "reward" if self.kl_in == "loss" else "loss"
            raise ConfigError(
                f"kl_estimator={self.kl_estimator!r} has no KL's gradient in the "
                f"{self.kl_in}: use kl_estimator='{right}', or kl_in='{other}'"
            )

    @abstractmethod
    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """Advantages, and returns where there is a critic.

        Args:
            batch: The rollouts.
            penalty: β KL of each policy token, float [G, R, T]; zeros unless ``kl_in="reward"``.

        Returns:
            Advantages float [G, R, T], anything outside scored rollouts and policy tokens;
            returns of the same shape, or ``None``.
        """

    def targets(self, batch: Batch) -> tuple[Targets, Metrics]:
        """All that the losses need, computed once on the whole batch. No gradient is kept."""
        self._check(batch)
        with torch.no_grad():
            in_reward = self.kl_coef if self.kl_in == "reward" else 0.0
            penalty = kl_penalty(batch, in_reward, self.kl_estimator)
            advantages, returns = self.estimate(batch, penalty)
            usable = batch.mask & batch.scored.unsqueeze(-1)
            advantages = masked(advantages, usable)
            trained, critic = self._tokens(batch, usable, advantages)
            targets = self._targets(batch, advantages, returns, trained, critic)
            return targets, _describe(batch, targets, usable)

    def minibatches(
        self, targets: Targets, count: int, generator: torch.Generator | None = None
    ) -> Iterator[Targets]:
        """``count`` parts for one optimiser step each, of about equally many live rollouts.

        Each is normalised over itself, so that a step has the size that it has with one
        mini-batch. (Slices of one step come from ``Targets.split`` instead, which keeps the
        normaliser.) Rollouts that no loss would touch are left out.

        Args:
            targets: Of the whole batch.
            count: Mini-batches; fewer come where there are fewer rollouts.
            generator: Shuffles the rollouts; without one their order is kept.
        """
        live = targets.active()
        order = torch.arange(len(live))
        if generator is not None:
            order = torch.randperm(len(live), generator=generator, device=generator.device)
        for rows in order.to(targets.index.device).tensor_split(count):
            if len(rows):
                yield self.normalised(live.select(rows))

    def normalised(self, targets: Targets) -> Targets:
        """The same rollouts, their weights normalised over themselves alone."""
        kind = targets.loss_weight.dtype
        weights = shares(targets.trained, self.aggregation, self.horizon, kind)
        return replace(
            targets,
            weights=weights * targets.loss_weight,
            value_weights=shares(targets.critic, "token_mean", self.horizon, kind),
        )

    def policy_loss(self, log_probs: Tensor, targets: Targets) -> tuple[Tensor, PartMetrics]:
        """This slice's part of the policy loss, KL included where it is in the loss.

        Args:
            log_probs: float [N, T], of the sampled tokens under the policy being trained, with
                gradient; anything outside ``targets.trained``.
            targets: The slice.

        Returns:
            The loss, a scalar to be summed over slices, and metrics for ``merge_metrics``.
        """
        mask = targets.trained
        if log_probs.shape != mask.shape:
            raise DataError(f"log_probs must be {tuple(mask.shape)}, got {tuple(log_probs.shape)}")
        log_probs = masked(log_probs, mask)
        ratio = RATIOS[self.ratio](log_probs, targets.old_log_probs, mask)
        loss, clipped = clipped_surrogate(ratio, targets.advantages, self.clip_low, self.clip_high)
        if self.kl_coef and self.kl_in == "loss":
            reference = masked(required(targets.ref_log_probs, "ref_log_probs"), mask)
            loss = loss + self.kl_coef * kl(log_probs, reference, self.kl_estimator)
        total = (targets.weights * masked(loss, mask)).sum()
        return total, _policy_metrics(total, log_probs, ratio, clipped, targets)

    def _check(self, batch: Batch) -> None:
        if self.kl_coef:
            required(batch.ref_log_probs, "ref_log_probs", f"kl_coef={self.kl_coef}")
        if self.mask_truncated:
            required(batch.truncated, "truncated", "mask_truncated=True")
        if self.needs_critic:
            required(batch.values, "values", f"{type(self).__name__}'s critic")

    def _tokens(self, batch: Batch, usable: Tensor, advantages: Tensor) -> tuple[Tensor, Tensor]:
        """The one place that says which tokens are in the policy's and in the critic's loss.

        The critic never learns from a forced token: V is the value of the policy's own choice.
        """
        if self.mask_truncated and batch.truncated is not None:
            usable = usable & ~batch.truncated.unsqueeze(-1)
        trained = critic = usable
        if self.drop_without_signal:
            trained = trained & has_signal(batch)[:, None, None]
        if batch.forced is not None:
            critic = critic & ~batch.forced
            imitated = {
                "positive": advantages > 0,
                "always": torch.ones_like(usable),
                "never": torch.zeros_like(usable),
            }[self.forced]
            trained = trained & (~batch.forced | imitated)
        return trained, critic if self.needs_critic else torch.zeros_like(critic)

    def _targets(
        self,
        batch: Batch,
        advantages: Tensor,
        returns: Tensor | None,
        trained: Tensor,
        critic: Tensor,
    ) -> Targets:
        loss_weight, unweighted = torch.ones_like(advantages), torch.zeros_like(advantages)
        if batch.weight is not None:
            loss_weight = masked(batch.weight, batch.mask).to(advantages.dtype)
        rows = {
            "mask": batch.mask,
            "trained": trained,
            "critic": critic,
            "advantages": advantages,
            "old_log_probs": batch.old_log_probs,
            "loss_weight": loss_weight,
            "weights": unweighted,
            "value_weights": unweighted,
            "ref_log_probs": batch.ref_log_probs,
            "values": batch.values,
            "returns": returns,
            "calling": batch.calling,
        }
        flat = {k: rows.flatten(0, 1).detach() for k, rows in rows.items() if rows is not None}
        index = torch.arange(batch.rewards.numel(), device=batch.mask.device)
        return self.normalised(Targets(index=index, **flat))


def _policy_metrics(
    total: Tensor, log_probs: Tensor, ratio: Tensor, clipped: Tensor, targets: Targets
) -> PartMetrics:
    mask = targets.trained
    moved = token_ratio(log_probs.detach(), targets.old_log_probs, mask)
    old_kl = moved - 1 - moved.log()  # k3 of KL(old ‖ new), the tokens being the old policy's
    ratio = ratio.detach()
    metrics = {
        "policy_loss": total.detach(),
        "tokens": mask.sum(),
        "clip_fraction": mean_over(clipped.to(ratio.dtype), mask),
        "ratio_mean": mean_over(ratio, mask),
        "ratio_max": masked(ratio, mask).amax() if ratio.numel() else ratio.sum(),
        "old_kl": mean_over(old_kl, mask),
    }
    if targets.ref_log_probs is not None:
        reference = masked(targets.ref_log_probs, mask)
        metrics["kl"] = mean_over(kl(log_probs.detach(), reference, "k3"), mask)
    return metrics


def _describe(batch: Batch, targets: Targets, usable: Tensor) -> Metrics:
    scored = batch.scored
    groups = scored.any(-1)
    metrics = {
        "reward_mean": mean_over(batch.rewards, scored),
        "unscored": batch.unscored.sum(),
        "groups_without_signal": mean_over((~has_signal(batch)).float(), groups),
        "advantage_std": deviation_over(targets.advantages, usable.flatten(0, 1)),
        "trained_rollouts": targets.trained.any(-1).sum(),
        "trained_tokens": targets.trained.sum(),
    }
    if batch.truncated is not None:
        metrics["truncated"] = mean_over(batch.truncated.float(), batch.mask.any(-1))
    if batch.forced is not None:
        forced = (batch.forced & usable).flatten(0, 1)
        metrics["forced_trained"] = mean_over(targets.trained.float(), forced)
    if targets.returns is not None and targets.values is not None:
        error = deviation_over(targets.returns - targets.values, targets.critic).square()
        spread = deviation_over(targets.returns, targets.critic).square()
        metrics["explained_variance"] = 1 - error / spread if spread > 0 else torch.zeros(())
    return {name: float(value) for name, value in metrics.items()}
