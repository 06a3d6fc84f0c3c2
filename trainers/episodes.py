"""Episodes as trainers see them: made of a dialogue, forced or free, with or without a signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agents import Episode, Reply
from trainers.algorithms.advantages import TIE
from vt_env.dialogue import Dialogue
from vt_env.errors import PictureError
from vt_env.judges import Verdict
from vt_env.pictures import View
from vt_env.rewards import UNSCORED, Reward
from vt_env.samples import Sample
from vt_env.task import Task


def episode_of(
    dialogue: Dialogue,
    replies: Sequence[Reply],
    verdict: Verdict,
    reward: Reward = UNSCORED,
    views: Sequence[View] = (),
) -> Episode:
    """A finished dialogue as an episode that may travel between processes.

    What is large stays behind: the sample's picture, the conversation (the replies have its
    tokens), and all views but those that are given.
    """
    return Episode(
        sample=replace(dialogue.sample, image=b""),
        messages=(),
        views=views,
        replies=replies,
        actions=(),
        flaws=dialogue.flaws,
        answer=dialogue.answer,
        futile=dialogue.futile,
        verdict=verdict,
        outcome=dialogue.outcome(verdict),
        reward=reward,
        partly_shown=dialogue.partly_shown,
    )


FAILURES_OVER = 20
"""Rollouts, or questions, that are over before the share of those that failed can stop a run."""

_BLANK = np.full((8, 8, 3), 255, dtype=np.uint8)
"""As few visual tokens as any family has for a picture, so that it fits where another did."""


def begun(
    task: Task, sample: Sample, copies: int = 1
) -> tuple[list[Dialogue], PictureError | None]:
    """Dialogues about a sample, and why its picture is refused; ``None`` if it is not.

    A library that leads a run wants tokens of every rollout that it has asked for. So where the
    picture is refused, the dialogues show a blank one; they are to be given up at their first turn,
    for this reason, and are unscored then.
    """
    try:
        return task.begin(sample, copies), None
    except PictureError as error:
        more = (_BLANK,) * len(sample.more_images)
        blank = replace(sample, image=_BLANK, more_images=more, metadata={})
        return task.begin(blank, copies), error


def has_failed(episode: Episode) -> bool:
    """Whether an episode was given up for a turn that could not be had; then it is unscored."""
    return bool(episode.replies[-1].failure)


def is_probe(episode: Episode) -> bool:
    """Whether the beginning of an episode was forced."""
    return episode.replies[0].forced > 0


def has_signal(group: Sequence[Episode]) -> bool:
    """Whether the scored rollouts of a group differ in reward, so that something can be learnt."""
    rewards = [e.reward.total for e in group if e.reward.total is not None]
    return len(rewards) > 1 and max(rewards) - min(rewards) > TIE
