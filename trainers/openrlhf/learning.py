"""What is learnt from rollouts: the project's algorithms, applied to OpenRLHF's experiences.

OpenRLHF's own estimators take every rollout for scored, divide rounding errors by a vanishing
deviation where rewards tie, and would train on tokens that a probe was forced to say. So advantages
and the tokens in the loss come from :mod:`trainers.algorithms`, as in the local trainer; where none
of that arises the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from agents import Episode
from trainers.algorithms import Algorithm, Batch

Metrics = dict[str, float]


def learn_from(experiences: Sequence[Any], algorithm: Algorithm, group_size: int) -> Metrics:
    """Set advantages, returns and action masks of experiences, in place.

    A rollout none of whose tokens is trained on (unscored, cut off, without signal) keeps its last
    token, with an advantage and a KL of 0: no gradient, but a batch of such rollouts alone still
    has a token to divide by.

    Args:
        experiences: OpenRLHF's, of one step: log-probabilities, masks, labels and indices are
            read; ``index`` says where in the step a rollout stands, groups one after the other.
        algorithm: The recipe's.
        group_size: Rollouts of a group.

    Returns:
        What the algorithm tells of the batch.
    """
    rows = [(e, row) for e in experiences for row in range(len(e.index))]
    rows.sort(key=lambda at: at[0].index[at[1]])
    episodes = [experience.labels[row] for experience, row in rows]
    width = max(experience.action_mask.shape[-1] for experience in experiences)

    def stacked(name: str) -> Tensor:
        return _grouped([_widened(getattr(e, name)[row], width) for e, row in rows], group_size)

    def known(name: str) -> Tensor | None:
        return None if getattr(experiences[0], name) is None else stacked(name)

    said = stacked("action_log_probs").float()
    batch = Batch(
        rewards=_grouped([_reward(e) for e in episodes], group_size),
        mask=stacked("action_mask").bool(),
        old_log_probs=said,
        ref_log_probs=_reference(said, known("base_action_log_probs"), known("kl")),
        values=known("values"),
        truncated=_grouped([_truncated(e) for e in episodes], group_size),
        forced=_grouped([_forced(e, width) for e in episodes], group_size),
    )
    targets, described = algorithm.targets(batch)
    for at, (experience, row) in enumerate(rows):
        _write(experience, row, targets, at)
    return described


def _grouped(rows: Sequence[Tensor], group_size: int) -> Tensor:
    """[G, R, …] of one tensor a rollout."""
    return torch.stack(list(rows)).unflatten(0, (-1, group_size))


def _widened(tensor: Tensor, width: int) -> Tensor:
    return pad(tensor, (0, width - tensor.shape[-1]))


def _reward(episode: Episode) -> Tensor:
    total = episode.reward.total
    return torch.tensor(math.nan if total is None else total)


def _truncated(episode: Episode) -> Tensor:
    return torch.tensor(any(reply.truncated for reply in episode.replies))


def _reference(said: Tensor, base: Tensor | None, kl: Tensor | None) -> Tensor | None:
    """The reference's log-probabilities; with the KL in the reward only k1 = log π - log ref is."""
    if base is not None:
        return base.float()
    return None if kl is None else (said - kl).float()


def _forced(episode: Episode, width: int) -> Tensor:
    """Which columns hold forced tokens; column c is about the token c + 1 of the sequence."""
    made = torch.zeros(width, dtype=torch.bool)
    at = -1
    for reply in episode.replies:
        at += len(reply.prompt_ids or ())
        made[at : at + reply.forced] = True
        at += len(reply.token_ids or ())
    return made


def _write(experience: Any, row: int, targets: Any, at: int) -> None:
    """Put one rollout's targets back."""
    mask = experience.action_mask[row]
    width = mask.shape[-1]
    trained = targets.trained[at, :width]
    advantages = targets.advantages[at, :width]
    if not trained.any():
        last = int(mask.nonzero()[-1])
        trained = torch.zeros_like(trained)
        trained[last] = True
        advantages = torch.zeros_like(advantages)
        if experience.base_action_log_probs is not None:
            same = experience.action_log_probs[row, last]
            experience.base_action_log_probs[row, last] = same
    experience.advantages[row] = advantages
    returns = advantages if targets.returns is None else targets.returns[at, :width]
    experience.returns[row] = returns
    experience.action_mask[row] = trained.to(mask.dtype)
