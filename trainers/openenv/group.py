"""An agent plays one question in several sessions; rewards of the group come from the facts."""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openenv.core.client_types import StepResult

from agents import Agent, Conversation, Reply
from trainers.openenv.client import VisionThinkClient
from trainers.openenv.messages import VisionThinkObservation
from vt_env.pictures import View
from vt_env.rewards import Outcome, Reward, RewardConfig, group_rewards


@dataclass
class RemoteEpisode:
    """One rollout that was played elsewhere.

    Attributes:
        rng: The rollout's own generator.
        messages: The conversation in chat format; one list from the first turn to the last.
        views: The pictures shown, in the order of their marks in ``messages``.
        replies: The agent's turns.
        last: What the server said last.
        reward: The terms of the reward, the group's penalty among them.
    """

    rng: np.random.Generator
    messages: list[dict[str, Any]] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    last: VisionThinkObservation | None = None
    reward: Reward | None = None

    @property
    def outcome(self) -> Outcome | None:
        """The facts; ``None`` until it is over."""
        return self.last.outcome if self.last else None

    def saw(self, observation: VisionThinkObservation) -> None:
        """Take in what the server shows and says."""
        self.last = observation
        self.messages[:] = observation.messages
        if (view := observation.view()) is not None:
            self.views.append(view)

    def conversation(self) -> Conversation:
        """What the agent reads: no references, so no sample."""
        assert self.last is not None
        sample: Any = None
        return Conversation(
            self.last.question,
            self.messages,
            self.views,
            self.last.turn,
            self.last.can_request,
            self.rng,
            sample,
        )


async def play_group(
    clients: Sequence[VisionThinkClient],
    agent: Agent,
    reward: RewardConfig | None = None,
    *,
    seed: int = 0,
    **choice: Any,
) -> list[RemoteEpisode]:
    """Play one question, a rollout a session, in step: the agent acts for all that go on.

    The agent acts in a thread, so that sessions stay alive however long it takes.

    Args:
        clients: The sessions, connected or not.
        agent: Who plays. It cannot be one that reads references: they are not here.
        reward: Weights and penalty of the group; the server's own by default, which has no penalty
            that compares rollouts.
        seed: Seeds each rollout's generator, with its place in the group.
        choice: ``sample_id`` or ``index``; by default the first session's server chooses.

    Returns:
        One episode a session, in their order.

    Raises:
        RemoteError: If a session is refused or lost.
    """
    episodes = [RemoteEpisode(np.random.default_rng([seed, i])) for i in range(len(clients))]
    first = (await clients[0].reset(**choice)).observation
    others = [client.reset(sample_id=first.sample_id) for client in clients[1:]]
    begun = [first, *(result.observation for result in await _all(others))]
    for episode, observation in zip(episodes, begun, strict=True):
        episode.saw(observation)
    going = list(zip(clients, episodes, strict=True))
    while going:
        conversations = [episode.conversation() for _, episode in going]
        replies = await asyncio.to_thread(agent.act, conversations)
        turns = zip(going, replies, strict=True)
        results = await _all([client.step(reply.text) for (client, _), reply in turns])
        for (_, episode), reply, result in zip(going, replies, results, strict=True):
            episode.replies.append(reply)
            episode.saw(result.observation)
        going = [pair for pair, result in zip(going, results, strict=True) if not result.done]
    config = reward or (await clients[0].state()).reward_config()
    outcomes = [episode.outcome for episode in episodes]
    terms = group_rewards([outcome for outcome in outcomes if outcome is not None], config)
    for episode, earned in zip(episodes, terms, strict=True):
        episode.reward = earned
    return episodes


async def _all(waiting: Sequence[Awaitable[StepResult[VisionThinkObservation]]]) -> list[Any]:
    """All results; if one fails, that error, when no session waits for a reply any more."""
    results = await asyncio.gather(*waiting, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
