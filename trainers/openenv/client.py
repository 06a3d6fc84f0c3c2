"""The client: OpenEnv's, with this environment's types and errors that say what to do.

An agent plays one question in several sessions by :func:`play_group`; rewards of the group come
from the facts.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State as Connection

from agents import Agent, Conversation, Reply
from trainers.openenv.messages import (
    REPLY_LIMIT,
    TEXT_LIMIT,
    VisionThinkAction,
    VisionThinkObservation,
    VisionThinkState,
)
from vt_env.actions import ToolCall
from vt_env.env import as_turn
from vt_env.errors import VisionThinkError
from vt_env.pictures import View
from vt_env.rewards import Outcome, Reward, RewardConfig, group_rewards


class RemoteError(VisionThinkError, RuntimeError):
    """The server said no, or is gone.

    Attributes:
        code: OpenEnv's, such as ``EXECUTION_ERROR`` or ``CAPACITY_REACHED``; ``REFUSED`` where
            there was no session to begin with, ``LOST`` where there is none any more.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


Turn = VisionThinkAction | str | ToolCall


class VisionThinkClient(EnvClient[Turn, VisionThinkObservation, VisionThinkState]):
    """One session on a server.

    ``async with VisionThinkClient(url) as env``, then ``await env.reset(sample_id=…)`` and ``await
    env.step(turn)``, a text or a :class:`~vt_env.actions.ToolCall`; ``.sync()`` gives a client that
    does not await. Results have ``observation``, ``reward`` (``None``: unscored, or not over) and
    ``done``.

    A session that the server closed is not replaced in silence: a step then raises, and the next
    reset opens a new one.

    Args:
        url: The server's, e.g. ``http://127.0.0.1:8000``.
        token: Where the server wants one.
        timeout_s: Seconds to wait for a reply.
        settings: Everything else that OpenEnv's client takes.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout_s: float = 180.0, **settings: Any
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        super().__init__(
            url,
            message_timeout_s=timeout_s,
            max_message_size_mb=REPLY_LIMIT / 2**20,
            headers=headers,
            mode="simulation",
            **settings,
        )

    async def __aenter__(self) -> VisionThinkClient:
        await super().__aenter__()
        return self

    async def _connect_async(self) -> VisionThinkClient:
        try:
            await super()._connect_async()
        except ConnectionError as error:
            raise RemoteError("REFUSED", _why(error)) from error
        return self

    async def _reset_async(self, **options: Any) -> StepResult[VisionThinkObservation]:
        if self._ws is not None and self._ws.state is not Connection.OPEN:
            await self._disconnect_async()
        return await super()._reset_async(**options)

    async def _step_async(self, action: Turn, **_: Any) -> StepResult[VisionThinkObservation]:
        if self._ws is not None and self._ws.state is not Connection.OPEN:
            why = self._ws.close_reason or "the connection ended"
            raise RemoteError("LOST", f"the session is gone ({why}); call reset() to begin anew")
        return await super()._step_async(action)

    async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
        with suppress(ConnectionClosed):  # who is refused finds the reason in what came before
            await self._send(message)
        try:
            reply = await self._receive()
        except ConnectionClosed as error:
            why = error.rcvd.reason if error.rcvd else "the connection ended"
            raise RemoteError("LOST", f"the server closed the session: {why}") from error
        except TimeoutError as error:
            seconds = self._message_timeout
            raise RemoteError("LOST", f"no reply in {seconds:g} s; call reset()") from error
        if reply.get("type") == "error":
            problem = reply["data"]
            raise RemoteError(str(problem.get("code")), str(problem.get("message")))
        return reply

    def _step_payload(self, action: Turn) -> dict[str, Any]:
        text = action.text if isinstance(action, VisionThinkAction) else as_turn(action)
        if len(text) > TEXT_LIMIT:
            problem = f"a turn has at most {TEXT_LIMIT} characters, got {len(text)}"
            raise RemoteError("VALIDATION_ERROR", problem)
        return {"text": text}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[VisionThinkObservation]:
        reward, done = payload["reward"], payload["done"]
        observation = VisionThinkObservation(**payload["observation"], reward=reward, done=done)
        return StepResult(observation, reward, done)

    def _parse_state(self, payload: dict[str, Any]) -> VisionThinkState:
        return VisionThinkState(**payload)


def _why(error: ConnectionError) -> str:
    """What a server that refuses a connection says of it, where it says something."""
    answer = getattr(error.__cause__, "response", None)
    try:
        return str(json.loads(getattr(answer, "body", None) or b"")["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error)


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
        ends: The protocol's stop strings.
        id: Its own, of no other.
    """

    rng: np.random.Generator
    messages: list[dict[str, Any]] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    last: VisionThinkObservation | None = None
    reward: Reward | None = None
    ends: Sequence[str] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def outcome(self) -> Outcome | None:
        """The facts; ``None`` until it is over."""
        return self.last.outcome if self.last else None

    def saw(self, observation: VisionThinkObservation) -> None:
        """Take in what the server shows and says."""
        self.last = observation
        self.messages[:] = observation.messages
        self.views += observation.views()

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
            self.id,
            ends=self.ends,
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
    state = await clients[0].state()
    for episode, observation in zip(episodes, begun, strict=True):
        episode.ends = state.protocol["ends"]
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
    config = reward or state.reward_config()
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
