"""The two records between which an algorithm stands: what came in, and what to train on.

Shapes: G groups (one question each), R rollouts a group, T token positions; N = rollouts of a
slice, in any order. Tensors that are only read at policy tokens may hold anything elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from vt_env.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Finished rollouts, grouped by question.

    A rollout without any policy token is padding, whatever its reward: it counts nowhere.

    Attributes:
        rewards: float [G, R]. NaN is *unscored*: no gradient, and no part in any statistic.
        mask: bool [G, R, T]. True where the policy's context holds a token that the policy
            produced. Tokens that the environment put between two turns are False and may lie
            between True ones, as may padding.
        old_log_probs: float [G, R, T]. Log-probability (nats) of each policy token under the
            policy that generated it, recomputed by the trainer at the sampling temperature.
        ref_log_probs: float [G, R, T], under the reference policy; needed where ``kl_coef > 0``.
        values: float [G, R, T]. The critic's V(s_t), s_t being the context *before* token t.
        truncated: bool [G, R]. Whether a length limit cut the rollout off.
        forced: bool [G, R, T]. Policy tokens that somebody else chose, e.g. the decision of a
            probe. ``Algorithm.forced`` says which of them are trained on.
        weight: float [G, R, T], at least 0. Multiplies the loss of a token and is in no
            normaliser, e.g. a truncated importance weight between the sampling engine and the
            trainer.
        tool: float [G, R], the second reward channel; NaN where a rollout is not in it.
        calling: bool [G, R, T]. Tokens of the turns that call a tool.

    Raises:
        DataError: On wrong shapes or dtypes, or an infinite reward of either channel.
    """

    rewards: Tensor
    mask: Tensor
    old_log_probs: Tensor
    ref_log_probs: Tensor | None = None
    values: Tensor | None = None
    truncated: Tensor | None = None
    forced: Tensor | None = None
    weight: Tensor | None = None
    tool: Tensor | None = None
    calling: Tensor | None = None

    def __post_init__(self) -> None:
        if self.mask.dim() != 3:
            raise DataError(f"mask must be bool [G, R, T], got shape {tuple(self.mask.shape)}")
        for field in fields(self):
            tensor = getattr(self, field.name)
            if tensor is None:
                continue
            rollout_wise = field.name in ("rewards", "truncated", "tool")
            shape = self.mask.shape[:2] if rollout_wise else self.mask.shape
            if tensor.shape != shape:
                raise DataError(
                    f"{field.name} must have the shape {tuple(shape)}, got {tuple(tensor.shape)}"
                )
            boolean = field.name in ("mask", "truncated", "forced", "calling")
            if (tensor.dtype == torch.bool) != boolean or tensor.is_floating_point() == boolean:
                kind = "bool" if boolean else "float"
                raise DataError(f"{field.name} must be {kind}, got {tensor.dtype}")
            if field.name in ("rewards", "tool") and tensor.isinf().any():
                raise DataError(f"{field.name} must be finite, or NaN where there is none")

    @property
    def scored(self) -> Tensor:
        """bool [G, R]: rollouts that have a reward and at least one policy token."""
        return ~self.rewards.isnan() & self.mask.any(-1)

    @property
    def unscored(self) -> Tensor:
        """bool [G, R]: rollouts that have policy tokens but no reward."""
        return self.rewards.isnan() & self.mask.any(-1)


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the losses need of N rollouts; every slice of it is again one.

    The weights already hold the normaliser, computed on the whole, so the loss of any slice is
    its part of a sum: over any split along the rollouts, losses and gradients add up exactly.

    Attributes:
        index: int64 [N]. Position of each rollout in the batch's flattened [G · R].
        mask: bool [N, T]. Policy tokens.
        trained: bool [N, T]. Those in the policy's loss.
        critic: bool [N, T]. Those in the value loss.
        advantages: float [N, T]; 0 outside ``mask``.
        old_log_probs: float [N, T].
        loss_weight: float [N, T]. ``Batch.weight``, or ones.
        weights: float [N, T]. Share of each token in the policy's loss; 0 outside ``trained``.
        value_weights: float [N, T]. Share of each token in the value loss.
        ref_log_probs: float [N, T], optional.
        values: float [N, T], optional. The critic's values before the update.
        returns: float [N, T], optional. What the critic learns.
        calling: bool [N, T], optional. ``Batch.calling``.
    """

    index: Tensor
    mask: Tensor
    trained: Tensor
    critic: Tensor
    advantages: Tensor
    old_log_probs: Tensor
    loss_weight: Tensor
    weights: Tensor
    value_weights: Tensor
    ref_log_probs: Tensor | None = None
    values: Tensor | None = None
    returns: Tensor | None = None
    calling: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def select(self, rows: Tensor) -> Targets:
        """The given rows, with the weights that they have here.

        Args:
            rows: int64 [n], positions along N, or bool [N].
        """
        chosen = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v[rows] for k, v in chosen.items() if v is not None})

    def active(self) -> Targets:
        """Without the rollouts that no loss would touch: no forward pass is spent on them."""
        return self.select((self.trained | self.critic).any(-1))

    def split(self, size: int) -> Iterator[Targets]:
        """Consecutive slices of at most ``size`` rollouts, whose losses add up to the whole's."""
        for rows in torch.arange(len(self), device=self.index.device).split(size):
            yield self.select(rows)


def required(tensor: Tensor | None, name: str, reason: str = "the loss") -> Tensor:
    """The tensor, or a DataError that says what needs it."""
    if tensor is None:
        raise DataError(f"{reason} needs Batch.{name}, which is None")
    return tensor
