"""Making episodes: which samples a step plays, and which rollouts are probes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agents import Episode, rollout
from agents.models import VisionLanguageModel
from trainers.config import TrainConfig
from trainers.data import SampleOrder, task_of
from trainers.episodes import has_signal
from trainers.models import agent_of
from trainers.probes import Probing, probe_starts
from vt_env import DataError, PictureError
from vt_env.vector import VisionThinkVectorEnv

logger = logging.getLogger(__name__)


def _groups(episodes: Sequence[Episode], size: int) -> list[Sequence[Episode]]:
    return [episodes[begin : begin + size] for begin in range(0, len(episodes), size)]


class Player:
    """Plays the groups of each step.

    Attributes:
        position: Samples given out so far.
        refused: Pictures that were refused so far; the next samples took their place.

    Raises:
        ConfigError: On settings that contradict each other.
        DataError: If there are fewer samples than a step asks for.
    """

    def __init__(self, config: TrainConfig, vlm: VisionLanguageModel, position: int = 0) -> None:
        self.rules = rules = config.rollout
        self.task = task_of(config.data.train, config.environment)
        if len(self.task.source) < rules.prompts:
            raise DataError(
                f"a step asks {rules.prompts} questions, but {self.task.source.name!r} has only "
                f"{len(self.task.source)} samples; lower rollout.prompts"
            )
        starts = probe_starts(config, self.task.protocol)
        self.env = VisionThinkVectorEnv(
            rules.prompts * rules.group_size,
            group_size=rules.group_size,
            data=self.task,
            reward=config.reward,
        )
        self.model_agent = agent_of(
            config.model, vlm, temperature=rules.temperature, max_new_tokens=rules.max_new_tokens
        )
        self.agent = Probing(self.model_agent, rules.group_size, starts)
        self.order = SampleOrder(self.task.source.ids(), config.seed)
        self.seed = config.seed
        self.position = position
        self.refused = 0

    def play(self, step: int) -> list[Episode]:
        """All episodes of a step, group by group.

        Raises:
            DataError: If as many pictures are refused as a round has questions, or too few samples
                are left.
        """
        episodes = self._round(step, 0)
        for further in range(1, self.rules.rounds):
            groups = _groups(episodes, self.rules.group_size)
            if sum(map(has_signal, groups)) >= self.rules.prompts:
                break
            episodes += self._round(step, further)
        return episodes

    def lesson(self, episodes: Sequence[Episode]) -> list[Episode]:
        """What a step learns from: as many groups as it has prompts, those with a signal first."""
        groups = _groups(episodes, self.rules.group_size)
        if len(groups) > self.rules.prompts:
            groups = sorted(groups, key=has_signal, reverse=True)[: self.rules.prompts]
        return [episode for group in groups for episode in group]

    def _round(self, step: int, number: int) -> list[Episode]:
        ids, self.position = self.order.take(self.position, self.rules.prompts)
        refused: list[str] = []
        while True:
            try:
                seed = (self.seed << 32) + (number << 24) + step
                episodes = rollout(self.env, self.agent, seed=seed, sample_ids=ids)
                break
            except PictureError as error:
                if error.sample_id not in ids:
                    raise
                logger.warning("step %d: %s; another sample takes its place", step, error)
                refused.append(error.sample_id)
                if len(refused) >= self.rules.prompts:
                    raise DataError(
                        f"{len(refused)} pictures were refused in one step; the last: {error}"
                    ) from error
                ids.remove(error.sample_id)
                more, self.position = self.order.take(self.position, 1, [*ids, *refused])
                ids += more
            finally:
                self.model_agent.forget()
        self.refused += len(refused)
        return episodes
