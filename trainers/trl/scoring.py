"""The reward, as one of TRL's reward functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from agents import Episode, Reply
from agents.llm import FailureWatch
from agents.models import VisionLanguageModel
from trainers.config import MAX_FAILED
from trainers.episodes import FAILURES_OVER, episode_of
from trainers.errors import TrainingError
from trainers.trl.environment import VisionThink
from vt_env.dialogue import Dialogue
from vt_env.rewards import RewardConfig, group_rewards
from vt_env.task import Task

Message = Mapping[str, Any]

_STEPS = 2**18
"""Steps of a reward of 1. Sums of such rewards are exact in float32, so that a group whose rewards
are all equal has advantages of 0: TRL divides what rounding leaves of them by 0.0001."""


class Scoring:
    """Judges rollouts and rewards whole groups, also where a group spans processes.

    Attributes:
        episodes: All processes' rollouts since :meth:`take`, group by group, without views;
            ``None``, as at first, keeps none.

    Args:
        task: Has the judge.
        reward: Weights and penalty.
        group_size: Rollouts of a group: TRL's ``num_generations``.
        processor: Read the policy's tokens.
        max_failed: Share of the last questions whose pictures may be refused, in [0, 1].
    """

    def __init__(
        self,
        task: Task,
        reward: RewardConfig,
        group_size: int,
        processor: VisionLanguageModel,
        max_failed: float = MAX_FAILED,
    ) -> None:
        self.task = task
        self.config = reward
        self.group_size = group_size
        self.processor = processor
        self.refusals = FailureWatch(max_failed, FAILURES_OVER)
        self.episodes: list[Episode] | None = None

    def reward(
        self,
        completions: Sequence[Sequence[Message]],
        environments: Sequence[VisionThink],
        **_: Any,
    ) -> list[float | None]:
        """Rewards of this process's rollouts; ``None`` where one is unscored.

        Args:
            completions: The turns of each rollout and the answers to its calls.
            environments: Where they were played.
            **_: The prompts, and the columns of the rows.

        Raises:
            TrainingError: If a rollout failed or was cut short, a group is not whole, or too many
                pictures are refused.
            JudgeError: If too many judgements fail.
        """
        turns = [[m for m in said if m["role"] == "assistant"] for said in completions]
        dialogues = [self._over(environment) for environment in environments]
        verdicts = self.task.judge_all(dialogues)
        mine = [
            episode_of(dialogue, [self._reply(turn, dialogue.failure) for turn in said], verdict)
            for dialogue, said, verdict in zip(dialogues, turns, verdicts, strict=True)
        ]
        every = self._rewarded(gather_object(mine))
        refused = (episode.replies[-1].failure for episode in every[:: self.group_size])
        if reason := self.refusals.too_many(refused, "questions"):
            raise TrainingError(reason)
        if self.episodes is not None:
            self.episodes += every
        begin = PartialState().process_index * len(mine)
        return [_even(episode.reward.total) for episode in every[begin : begin + len(mine)]]

    def take(self) -> list[Episode]:
        """The episodes, which are forgotten here."""
        taken, self.episodes = self.episodes, []
        return taken or []

    def _over(self, environment: VisionThink) -> Dialogue:
        """The dialogue, which has taken all its turns."""
        dialogue = environment.dialogue
        assert dialogue is not None
        if environment.failure is not None:
            raise TrainingError(
                f"sample {dialogue.sample.id!r}: {environment.failure}"
            ) from environment.failure
        if not dialogue.done:
            raise TrainingError(
                f"sample {dialogue.sample.id!r}: what a tool showed left no room for another turn; "
                "raise max_completion_length"
            )
        return dialogue

    def _reply(self, turn: Message, failure: str) -> Reply:
        ids = tuple(turn["token_ids"])
        truncated = ids[-1] not in self.processor.stop_ids
        return Reply(turn["content"], token_ids=ids, truncated=truncated, failure=failure)

    def _rewarded(self, episodes: Sequence[Episode]) -> list[Episode]:
        """All groups with their rewards."""
        made: list[Episode] = []
        for begin in range(0, len(episodes), self.group_size):
            group = episodes[begin : begin + self.group_size]
            ids = list(dict.fromkeys(episode.sample.id for episode in group))
            if len(group) != self.group_size or len(ids) != 1:
                raise TrainingError(
                    f"{self.group_size} rollouts of one sample make a group, but {len(group)} of "
                    f"{', '.join(map(repr, ids))} came together: num_generations must be "
                    f"{self.group_size}, and batches must hold whole groups"
                )
            rewards = group_rewards([episode.outcome for episode in group], self.config)
            made += [replace(e, reward=r) for e, r in zip(group, rewards, strict=True)]
        return made


def _even(reward: float | None) -> float | None:
    return None if reward is None else round(reward * _STEPS) / _STEPS
