"""What OpenRLHF calls for every rollout: the project's own dialogues, groups and rewards."""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from openrlhf.utils.agent import AgentExecutorBase

from agents import Episode
from agents.models.engine import bias
from agents.models.loading import load_words
from trainers.episodes import episode_of
from trainers.errors import TrainingError
from trainers.local.play import task_of
from trainers.openrlhf.group import Group, Groups
from trainers.openrlhf.run import Run
from trainers.openrlhf.turns import Played, Turns
from trainers.openrlhf.words import beginnings
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
        pictures: As it was played with.
        reward: Its reward. An unscored one shows the mean of its scored siblings, which leaves
            their mean where it is; the driver trains on none of its tokens.
        accuracy: Likewise.
    """

    episode: Episode
    pictures: Mapping[str, torch.Tensor]
    reward: float
    accuracy: float


class Executor(AgentExecutorBase):
    """Plays one rollout a call; see :func:`executor_for`.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: Path) -> None:
        self.run = run = Run.read(folder)
        os.chdir(run.cwd)  # this process is this engine's alone
        self.config = config = run.config
        self.words = load_words(run.model)
        self.bias = bias(self.words)
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

    async def execute(
        self,
        prompt: str,
        label: Mapping[str, Any],
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """Play one rollout, wait for its siblings, and tell all of it.

        Args:
            prompt: For the reader of a log; the dialogue makes its own.
            label: ``split`` and ``id`` of the sample, and whether its pictures are to be ``shown``.
            sampling_params: vLLM's; shared by the rollouts of one request, so never changed.
            max_length: Tokens that the whole rollout may have.
            hf_tokenizer: Not used; the executor has its own.
            llm_engine: Has ``generate(ids, sampling_params, multi_modal_data)``.
            images: Not used; the dialogue shows its own.

        Returns:
            What OpenRLHF makes an experience of; ``label`` is the :class:`agents.Episode`.

        Raises:
            PictureError: If the sample's picture is refused.
            TrainingError: If tokens do not agree, or there is no room for a turn.
        """
        task = self.tasks[label["split"]]
        training = label["split"] == "train"

        async def finish(played: Mapping[int, Played]) -> Mapping[int, Scored]:
            reward = self.config.reward if training else MEASURED
            scored = await asyncio.to_thread(_scored, task, played, reward, label["shown"])
            self._tell_judging()
            return scored

        group, place = self.groups.join(sampling_params, finish)
        played: Played | None = None
        try:
            await asyncio.sleep(0)  # all siblings enter before any goes on
            self._check(group, training)
            sample = task.source.by_id(label["id"])
            dialogues = await group.once(lambda: asyncio.to_thread(task.begin, sample, group.size))
            start = self.starts[place] if training and place < len(self.starts) else ()
            turns = Turns(
                self.words,
                dialogues[place],
                llm_engine,
                self._own(sampling_params),
                max_new_tokens=self.config.rollout.max_new_tokens,
                max_length=max_length,
            )
            played = await turns.play(start)
            task.start_judging([played.dialogue])
        finally:
            self.groups.leave(group, place, played)
        scored = await group.outcome(place)
        return _response(prompt, scored)

    def _tell_judging(self) -> None:
        usages = (usage_of(task.judge) for task in self.tasks.values())
        if counted := [usage for usage in usages if usage is not None]:
            self.run.tell_judging(self.engine, total(counted))

    def _own(self, sampling_params: Any) -> Any:
        """A rollout's own parameters, which forbid tokens that stand for pictures."""
        own = copy(sampling_params)
        own.logit_bias = self.bias
        return own

    def _check(self, group: Group[Any, Any], training: bool) -> None:
        expected = self.config.rollout.group_size
        if training and group.size != expected:
            raise TrainingError(
                f"{group.size} of {expected} rollouts of a prompt met in an engine; the penalty "
                "needs all of them together: is this another version of OpenRLHF?"
            )


def executor_for(folder: Path) -> type[Executor]:
    """The class that OpenRLHF looks for in ``agent.py``; it makes one without arguments."""

    class AgentExecutor(Executor):
        def __init__(self) -> None:
            super().__init__(folder)

    return AgentExecutor


def _scored(
    task: Task, played: Mapping[int, Played], config: RewardConfig, shown: bool
) -> dict[int, Scored]:
    """Judge and reward the rollouts of a group that did not fail."""
    places = list(played)
    dialogues = [played[place].dialogue for place in places]
    verdicts = task.judge_all(dialogues)
    outcomes = [d.outcome(v) for d, v in zip(dialogues, verdicts, strict=True)]
    rewards = group_rewards(outcomes, config)
    reward = _mean([r.total for r in rewards])
    accuracy = _mean([o.correct for o in outcomes])
    made: dict[int, Scored] = {}
    for place, d, verdict, outcome, terms in zip(
        places, dialogues, verdicts, outcomes, rewards, strict=True
    ):
        views = [_thumbnail(view) for view in d.views] if shown else ()
        episode = episode_of(d, played[place].replies, verdict, terms, views)
        made[place] = Scored(
            episode,
            played[place].pictures,
            reward=reward if terms.total is None else terms.total,
            accuracy=accuracy if outcome.correct is None else float(outcome.correct),
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


def _response(prompt: str, scored: Scored) -> dict[str, Any]:
    """One rollout as OpenRLHF takes it."""
    episode = scored.episode
    tokens: list[int] = []
    ranges: list[tuple[int, int]] = []
    log_probs: list[float] = []
    for reply in episode.replies:
        prompt_ids, said = reply.prompt_ids or (), reply.token_ids or ()
        tokens += prompt_ids
        ranges.append((len(tokens), len(tokens) + len(said)))
        tokens += said
        log_probs += [*[0.0] * len(prompt_ids), *(reply.log_probs or ())]
    outcome = episode.outcome
    return {
        "prompt": prompt,
        "label": episode,
        "images": None,
        "mm_train_inputs": dict(scored.pictures),
        "reward": scored.reward,
        "scores": scored.accuracy,
        "observation_tokens": tokens,
        "action_ranges": ranges,
        "rollout_log_probs": log_probs if len(log_probs) == len(tokens) else None,
        "truncated": any(reply.truncated for reply in episode.replies),
        "extra_logs": {
            "rollout/request_rate": float(outcome.requested),
            "rollout/futile_requests": float(episode.futile),
            "rollout/tokens": float(sum(end - start for start, end in ranges)),
            "env/well_formed": float(outcome.well_formed),
            "env/visual_tokens": float(outcome.visual_tokens),
            "env/unscored": float(outcome.correct is None),
        },
    }
