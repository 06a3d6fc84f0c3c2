"""Making episodes: which samples a step plays, and which rollouts are probes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

from agents import AGENTS, Agent, Conversation, Episode, Reply, rollout
from agents.models import VisionLanguageModel
from agents.steering import Arm
from agents.transformers import TransformersAgent
from trainers.algorithms.advantages import TIE
from trainers.config import ModelConfig, TrainConfig
from trainers.data import SampleOrder, task_of
from vt_env import ConfigError, DataError, PictureError
from vt_env.vector import VisionThinkVectorEnv

logger = logging.getLogger(__name__)


class Probing:
    """An agent some of whose rollouts are forced, at their first turn, into one arm.

    Of every group the first ``probes`` answer directly and the next ``probes`` request. The forced
    tokens are marked in the replies.

    Args:
        agent: Who plays.
        group_size: Rollouts of a group.
        probes: Rollouts of each arm; 0 forces nobody.
    """

    def __init__(self, agent: TransformersAgent, group_size: int, probes: int) -> None:
        self.agent = agent
        self.group_size = group_size
        direct, request = cast("list[Arm]", ["direct"]), cast("list[Arm]", ["request"])
        free = [None] * (group_size - 2 * probes)
        self.arms: list[Arm | None] = [*direct * probes, *request * probes, *free]

    @property
    def name(self) -> str:
        """The agent's."""
        return self.agent.name

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation; in the first turn that is every row of the groups."""
        arms: list[Arm | None] = [
            self.arms[row % self.group_size] if c.turn == 0 and c.can_request else None
            for row, c in enumerate(conversations)
        ]
        return self.agent.steer(conversations, arms)


def is_probe(episode: Episode) -> bool:
    """Whether the beginning of an episode was forced."""
    return episode.replies[0].forced > 0


def _groups(episodes: Sequence[Episode], size: int) -> list[Sequence[Episode]]:
    return [episodes[begin : begin + size] for begin in range(0, len(episodes), size)]


def has_signal(group: Sequence[Episode]) -> bool:
    """Whether the scored rollouts of a group differ in reward, so that something can be learnt."""
    rewards = [e.reward.total for e in group if e.reward.total is not None]
    return len(rewards) > 1 and max(rewards) - min(rewards) > TIE


def agent_of(
    model: ModelConfig, vlm: VisionLanguageModel, *, temperature: float, max_new_tokens: int
) -> TransformersAgent:
    """The agent that plays a model.

    Raises:
        ConfigError: If the agent of that name is no model here, so has no tokens to learn from.
    """
    agent: Agent = AGENTS.make(
        model.agent, vlm, temperature=temperature, max_new_tokens=max_new_tokens
    )
    if not isinstance(agent, TransformersAgent):
        raise ConfigError(
            f"the agent {model.agent!r} does not keep the tokens that training needs; "
            "use one that is a model here, such as 'transformers'"
        )
    agent.stop = False  # the policy learns to end its turns itself
    return agent


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
        rules = config.rollout
        self.task = task_of(config.data.train, config.environment)
        if len(self.task.source) < rules.prompts:
            raise DataError(
                f"a step asks {rules.prompts} questions, but {self.task.source.name!r} has only "
                f"{len(self.task.source)} samples; lower rollout.prompts"
            )
        self.env = VisionThinkVectorEnv(
            rules.prompts * rules.group_size,
            group_size=rules.group_size,
            data=self.task,
            reward=config.reward,
        )
        self.model_agent = agent_of(
            config.model,
            vlm,
            temperature=rules.temperature,
            max_new_tokens=rules.max_new_tokens,
        )
        self.agent = Probing(self.model_agent, rules.group_size, rules.probes)
        self.order = SampleOrder(self.task.source.ids(), config.seed)
        self.prompts = rules.prompts
        self.group_size = rules.group_size
        self.rounds = rules.rounds
        self.seed = config.seed
        self.position = position
        self.refused = 0

    def play(self, step: int) -> list[Episode]:
        """All episodes of a step, group by group.

        Raises:
            DataError: If as many pictures are refused as a round has questions.
        """
        episodes = self._round(step, 0)
        for further in range(1, self.rounds):
            groups = _groups(episodes, self.group_size)
            if sum(map(has_signal, groups)) >= self.prompts:
                break
            episodes += self._round(step, further)
        return episodes

    def lesson(self, episodes: Sequence[Episode]) -> list[Episode]:
        """What a step learns from: as many groups as it has prompts, those with a signal first."""
        groups = _groups(episodes, self.group_size)
        if len(groups) > self.prompts:
            groups = sorted(groups, key=has_signal, reverse=True)[: self.prompts]
        return [episode for group in groups for episode in group]

    def _round(self, step: int, number: int) -> list[Episode]:
        ids, self.position = self.order.take(self.position, self.prompts)
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
                if len(refused) >= self.prompts:
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
