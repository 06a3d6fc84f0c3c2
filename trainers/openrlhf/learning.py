"""What is learnt from rollouts: the project's algorithms, applied to OpenRLHF's experiences.

OpenRLHF's own estimators take every rollout for scored, divide rounding errors by a vanishing
deviation where rewards tie, and would train on tokens that a probe was forced to say. So advantages
and the tokens in the loss come from :mod:`trainers.algorithms`, as in the local trainer; where none
of that arises the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from agents import Episode
from trainers.algorithms import Algorithm, Batch

Metrics = dict[str, float]


def learn_from(experiences: Sequence[Any], algorithm: Algorithm, group_size: int) -> Metrics:
    """Set advantages, returns and action masks of experiences, in place.

    A rollout none of whose tokens is trained on (unscored, cut off, without signal) has an empty
    mask, so that it counts in no normaliser; see :mod:`trainers.openrlhf.learners`.

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

    def grouped(tensors: Iterable[Tensor]) -> Tensor:
        return torch.stack(list(tensors)).unflatten(0, (-1, group_size))

    def known(name: str) -> Any:
        """[G, R, T] of what the experiences have by a name."""
        if getattr(experiences[0], name) is None:
            return None
        columns = (getattr(experience, name)[row] for experience, row in rows)
        return grouped(pad(column, (0, width - column.shape[-1])) for column in columns)

    def told(of: Callable[[Episode], float]) -> Tensor:
        return grouped(torch.tensor(of(episode)) for episode in episodes)

    log_probs = known("action_log_probs").float()
    batch = Batch(
        rewards=told(lambda e: math.nan if e.reward.total is None else e.reward.total),
        mask=known("action_mask").bool(),
        old_log_probs=log_probs,
        ref_log_probs=_reference(log_probs, known("base_action_log_probs"), known("kl")),
        values=known("values"),
        truncated=told(lambda e: any(reply.truncated for reply in e.replies)),
        forced=grouped(_forced(episode, width) for episode in episodes),
    )
    targets, described = algorithm.targets(batch)
    assert batch.forced is not None
    forced = batch.forced.flatten(0, 1)
    for at, (experience, row) in enumerate(rows):
        _write(experience, row, targets, at)
        if experience.rollout_log_probs is not None:  # no engine drew these: they weigh 1
            own = forced[at, : experience.action_mask.shape[-1]]
            experience.rollout_log_probs[row][own] = experience.action_log_probs[row][own]
    return described


def _reference(log_probs: Tensor, base: Tensor | None, kl: Tensor | None) -> Tensor | None:
    """The reference's log-probabilities; with the KL in the reward only k1 = log π - log ref is."""
    if base is not None:
        return base.float()
    return None if kl is None else (log_probs - kl).float()


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
    advantages = targets.advantages[at, :width]
    experience.advantages[row] = advantages
    returns = advantages if targets.returns is None else targets.returns[at, :width]
    experience.returns[row] = returns
    experience.action_mask[row] = targets.trained[at, :width].to(mask.dtype)
