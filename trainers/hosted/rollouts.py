"""Rollouts that a library asks for, one call each: played, judged with their siblings, rewarded."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import torch

from agents import Episode, Reply
from agents.models.loading import load_words
from trainers.data import task_of
from trainers.episodes import episode_of
from trainers.errors import TrainingError
from trainers.hosted.group import Group, Groups
from trainers.hosted.run import Run
from trainers.hosted.turns import Played, Speak, Turns
from trainers.hosted.words import beginnings
from vt_env.judges.models import total, usage_of
from vt_env.pictures import View
from vt_env.rewards import RewardConfig, group_rewards
from vt_env.task import Task

MEASURED = RewardConfig(penalty="none")
"""The reward of an evaluation: what a policy can do, without what steers its training."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A rollout with its reward, and what stands in its place where it has none.

    Attributes:
        episode: The rollout; a reward of ``None`` is unscored.
        views: The pictures that it was played with.
        pictures: The same as the trainer's vision encoder takes them; see :class:`Played`.
        reward: Its reward. An unscored one shows the mean of its scored siblings, which leaves
            their mean where it is; the trainer trains on none of its tokens.
        accuracy: Likewise.
        spread: Largest less smallest reward of the scored ones of its group; ``None`` without any.
    """

    episode: Episode
    views: Sequence[View]
    pictures: Mapping[str, torch.Tensor]
    reward: float
    accuracy: float
    spread: float | None

    def facts(self) -> dict[str, float]:
        """What the log tells of it, by the log's names."""
        outcome = self.episode.outcome
        return {
            "rollout/request_rate": float(outcome.requested),
            "rollout/futile_requests": float(self.episode.futile),
            "rollout/tokens": float(sum(len(r.token_ids or ()) for r in self.episode.replies)),
            "env/well_formed": float(outcome.well_formed),
            "env/visual_tokens": float(outcome.visual_tokens),
            "env/unscored": float(outcome.correct is None),
        }


class Rollouts:
    """All that one process plays.

    Attributes:
        words: The policy's, without its weights.
        tasks: What is played, by split.
        groups: Those in flight.

    Args:
        run: What is played, how, and what it is worth.
        cut: Whether the trainer wants patches of the pictures, or takes the views.
    """

    def __init__(self, run: Run, *, cut: bool = True) -> None:
        self.run = run
        os.chdir(run.cwd)  # this process plays for this run alone
        self.config = config = run.config
        self.cut = cut
        self.words = load_words(run.model)
        self.tasks = {"train": task_of(config.data.train, config.environment)}
        if config.data.validation:
            self.tasks["validation"] = task_of(config.data.validation, config.environment)
        encode = self.words.tokenizer.encode
        starts = beginnings(config.model.agent) if config.rollout.probes else {}
        self.starts = [
            encode(starts[arm], add_special_tokens=False)
            for arm in starts
            for _ in range(config.rollout.probes)
        ]
        self.engine = uuid4().hex
        self.groups: Groups[Played, Scored] = Groups()

    async def play(
        self,
        label: Mapping[str, Any],
        speak: Speak,
        *,
        group: Hashable,
        max_length: int,
        keep: object = None,
    ) -> Scored:
        """Play one rollout, and wait for its siblings.

        Args:
            label: ``split`` and ``id`` of the sample, and whether its pictures are to be ``shown``.
            speak: The engine.
            group: What its siblings give too, and no other rollout in flight.
            max_length: Tokens that the whole rollout may have.
            keep: Held for as long as the group is in flight.

        Raises:
            PictureError: If the sample's picture is refused.
            TrainingError: If tokens do not agree, there is no room for a turn, or not all siblings
                came at the same time.
        """
        task = self.tasks[label["split"]]
        training = label["split"] == "train"

        async def finish(played: Mapping[int, Played]) -> Mapping[int, Scored]:
            reward = self.config.reward if training else MEASURED
            scored = await asyncio.to_thread(_scored, task, played, reward, label["shown"])
            self._tell_judging()
            return scored

        siblings, place = self.groups.join(group, finish, keep)
        played: Played | None = None
        try:
            await asyncio.sleep(0)  # all siblings enter before any goes on
            self._check(siblings, training)
            sample = task.source.by_id(label["id"])
            dialogues = await siblings.once(
                lambda: asyncio.to_thread(task.begin, sample, siblings.size)
            )
            start = self.starts[place] if training and place < len(self.starts) else ()
            turns = Turns(
                self.words,
                dialogues[place],
                speak,
                max_new_tokens=self.config.rollout.max_new_tokens,
                max_length=max_length,
                cut=self.cut,
            )
            played = await turns.play(start)
            task.start_judging([played.dialogue])
        finally:
            self.groups.leave(siblings, place, played)
        return await siblings.outcome(place)

    def _tell_judging(self) -> None:
        usages = (usage_of(task.judge) for task in self.tasks.values())
        if counted := [usage for usage in usages if usage is not None]:
            self.run.tell_judging(self.engine, total(counted))

    def _check(self, group: Group[Any, Any], training: bool) -> None:
        expected = self.config.rollout.group_size
        if training and group.size != expected:
            raise TrainingError(
                f"{group.size} of {expected} rollouts of a prompt met in a process; the penalty "
                "needs all of them together: is this another version of the library, or another "
                "number of rollouts than rollout.group_size?"
            )


def flattened(
    replies: Sequence[Reply],
) -> tuple[list[int], list[tuple[int, int]], list[float] | None]:
    """The turns as one sequence.

    Returns:
        All tokens; where each turn of the policy begins and ends in them; the tokens'
        log-probabilities (0 for those that were read), or ``None`` where not all are known.
    """
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    log_probs: list[float] = []
    for reply in replies:
        prompt_ids, said = reply.prompt_ids or (), reply.token_ids or ()
        tokens += prompt_ids
        ranges.append((len(tokens), len(tokens) + len(said)))
        tokens += said
        log_probs += [*[0.0] * len(prompt_ids), *(reply.log_probs or ())]
    return tokens, ranges, log_probs if len(log_probs) == len(tokens) else None


def _scored(
    task: Task, played: Mapping[int, Played], config: RewardConfig, shown: bool
) -> dict[int, Scored]:
    """Judge and reward the rollouts of a group that did not fail."""
    places = list(played)
    dialogues = [played[place].dialogue for place in places]
    verdicts = task.judge_all(dialogues)
    outcomes = [d.outcome(v) for d, v in zip(dialogues, verdicts, strict=True)]
    rewards = group_rewards(outcomes, config)
    known = [r.total for r in rewards if r.total is not None]
    spread = max(known) - min(known) if known else None
    reward = _mean(known)
    accuracy = _mean([o.correct for o in outcomes])
    made: dict[int, Scored] = {}
    for place, d, verdict, outcome, terms in zip(
        places, dialogues, verdicts, outcomes, rewards, strict=True
    ):
        views = [_thumbnail(view) for view in d.views] if shown else ()
        episode = episode_of(d, played[place].replies, verdict, terms, views)
        made[place] = Scored(
            episode,
            d.views,
            played[place].pictures,
            reward=reward if terms.total is None else terms.total,
            accuracy=accuracy if outcome.correct is None else float(outcome.correct),
            spread=spread,
        )
    return made


def _mean(values: Sequence[float | bool | None]) -> float:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _thumbnail(view: View) -> View:
    """A view that may travel: at most 512 pixels wide and high."""
    image = view.image.copy()
    image.thumbnail((512, 512))
    return View(image, view.method)
