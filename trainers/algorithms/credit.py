"""Credit by turn: a second reward channel, normalised by itself and given to the calls' tokens.

Shapes as in :mod:`trainers.algorithms.advantages`: G groups, R rollouts, T tokens; N = G · R. The
channel is :attr:`vt_env.rewards.Reward.tool`; NaN leaves a rollout out of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from trainers.algorithms.advantages import spread_over_tokens, standardised
from trainers.algorithms.base import Algorithm
from trainers.algorithms.batch import Batch, Targets, required
from trainers.algorithms.kl import masked
from vt_env.errors import ConfigError


def two_channels(batch: Batch, credited: Tensor, weight: float, penalty: Tensor) -> Tensor:
    """A_t = A(R) + w · 1[t credited] · A(R_tool): float [G, R, T].

    Both advantages are standardised within the group, each over the rollouts that are in its
    channel, so that neither reward's scale decides over the other's.

    * DTPO of AdaptVision (2512.03794, Eq. 12 to 14): ``credited`` are the tokens of the turns that
      call, w = λ = 0.3; the answer's tokens get the outcome's advantage alone.
    * HDPO of Metis (2604.08545): all tokens are credited, w = 0.15, and the channel is that of the
      correct rollouts. Departure: HDPO clips the two losses apart, which is the same while no
      ratio is clipped.

    Args:
        batch: The rollouts, with ``tool``.
        credited: bool [G, R, T], the tokens that the second channel reaches.
        weight: w, at least 0.
        penalty: β KL of each policy token, taken from the first channel's rewards.
    """
    tool, scored = required(batch.tool, "tool", "a channel"), batch.scored
    outcome = standardised(batch.rewards - penalty.sum(-1), scored)
    channel = standardised(tool, scored & ~tool.isnan())
    usable = batch.mask & scored.unsqueeze(-1)
    return spread_over_tokens(outcome, usable) + weight * spread_over_tokens(
        channel, usable & credited
    )


def turn_shares(trained: Tensor, calling: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Share of each token in the loss, normalised by turn: float [N, T].

        Σ over calls' tokens / ΣT_i  +  Σ over answers' tokens / Σ(N_i - T_i)

    with T_i the tokens of rollout i's calls and N_i all of its tokens (DTPO, 2512.03794, Eq. 14):
    a few tokens of calls weigh as much as the many of answers. Where all tokens are of one kind,
    it is ``token_mean``.

    Args:
        trained: bool [N, T], the tokens in the loss.
        calling: bool [N, T], the tokens of turns that call.
        dtype: Of the result.
    """
    total = torch.zeros(trained.shape, dtype=dtype, device=trained.device)
    for part in (trained & calling, trained & ~calling):
        total = total + masked(part.to(dtype) / part.sum().clamp(min=1), part)
    return total


@dataclass(frozen=True, kw_only=True)
class HDPO(Algorithm):
    """Two channels, the second for all tokens of the rollouts in it (2604.08545).

    Its channel is ``reward.tool="hdpo"``: only correct rollouts are in it, fewer calls earn more.

    Attributes:
        tool_weight: w, at least 0; see :func:`two_channels`.
    """

    needs_tool: ClassVar[bool] = True

    tool_weight: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tool_weight < float("inf"):
            raise ConfigError(f"tool_weight must be a finite number from 0 up: {self.tool_weight}")

    def estimate(self, batch: Batch, penalty: Tensor) -> tuple[Tensor, Tensor | None]:
        """The outcome's advantage, and the channel's at the tokens that it credits."""
        return two_channels(batch, self.credited(batch), self.tool_weight, penalty), None

    def credited(self, batch: Batch) -> Tensor:
        """Which tokens the second channel reaches: bool [G, R, T]."""
        return batch.mask


@dataclass(frozen=True, kw_only=True)
class DTPO(HDPO):
    """Two channels, the second for calls' tokens; the loss is normalised by turn (2512.03794).

    Its channel is ``reward.tool="adaptvision"``. ``aggregation`` has one value, since
    :func:`turn_shares` takes its place.
    """

    tool_weight: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.aggregation != "token_mean":
            raise ConfigError(
                f"dtpo normalises its loss by turn, so aggregation={self.aggregation!r} has no "
                "place in it; leave it out"
            )

    def credited(self, batch: Batch) -> Tensor:
        """Those of the turns that call."""
        return required(batch.calling, "calling", "credit by turn")

    def normalised(self, targets: Targets) -> Targets:
        """The same rollouts, their weights normalised by turn over themselves alone."""
        made = super().normalised(targets)
        calling = required(targets.calling, "calling", "a loss by turn")
        shares = turn_shares(targets.trained, calling, targets.loss_weight.dtype)
        return replace(made, weights=shares * targets.loss_weight)
