"""Play an agent in the batched environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from agents.base import Agent, Conversation, Reply
from vt_env.actions import Action, NoTurn
from vt_env.dialogue import Message
from vt_env.errors import VisionThinkError
from vt_env.judges import Verdict
from vt_env.pictures import View
from vt_env.rewards import Outcome, Reward
from vt_env.samples import Sample
from vt_env.vector import VisionThinkVectorEnv


@dataclass(frozen=True, slots=True)
class Episode:
    """One finished rollout, with everything exactly as it was generated.

    Attributes:
        sample: What was asked.
        messages: The whole conversation in chat format.
        views: The pictures shown, in the order of their marks in ``messages``.
        replies: The agent's turns.
        actions: What each turn was read as.
        flaws: Rules of the format that were broken.
        answer: The answer, or ``None`` if there was none.
        futile: Whether a request brought no more visual tokens.
        verdict: What the judge said.
        outcome: What the rewards are computed from.
        reward: The reward's terms.
        partly_shown: What of the sample's files is not shown; empty where all is.
    """

    sample: Sample
    messages: Sequence[Message]
    views: Sequence[View]
    replies: Sequence[Reply]
    actions: Sequence[Action]
    flaws: Sequence[str]
    answer: str | None
    futile: bool
    verdict: Verdict
    outcome: Outcome
    reward: Reward
    partly_shown: str = ""


class AgentError(VisionThinkError, RuntimeError):
    """An agent broke its contract."""


class TokenMismatch(AgentError):
    """A model read or said other tokens than were meant, so that nothing can be learnt from it."""


def rollout(
    env: VisionThinkVectorEnv,
    agent: Agent,
    *,
    seed: int = 0,
    sample_ids: Sequence[str] | None = None,
) -> list[Episode]:
    """Play every group of the environment once.

    Args:
        env: The batched environment.
        agent: Acts for all rows together.
        seed: Seeds each rollout's generator, together with its sample and its place in the group,
            so that a rollout does not depend on its neighbours; and, without ``sample_ids``, the
            choice of samples.
        sample_ids: One sample for each of the first groups; the groups beyond them rest.

    Returns:
        One episode a rollout, group by group.

    Raises:
        AgentError: If the agent does not give one reply for each conversation.
        PictureError: If a sample's picture is refused.
    """
    options: dict[str, Any] = {}
    if sample_ids is not None:
        used = len(sample_ids) * env.group_size
        options = {"sample_ids": list(sample_ids), "reset_mask": np.arange(env.num_envs) < used}
    _, info = env.reset(seed=seed if sample_ids is None else None, options=options)
    rows = [int(row) for row in np.flatnonzero(info["active"])]
    rngs = {row: _generator(env, row, seed) for row in rows}
    replies: dict[int, list[Reply]] = {row: [] for row in rows}
    ended: dict[str, Any] = {}
    while (active := np.flatnonzero(env.active)).size:
        turns = _act(agent, [Conversation.of(env.dialogue(int(r)), rngs[int(r)]) for r in active])
        actions: list[str | NoTurn] = [""] * env.num_envs
        for row, reply in zip(active, turns, strict=True):
            replies[int(row)].append(reply)
            actions[row] = reply.action
        *_, info = env.step(actions)
        for key in ("verdict", "outcome", "reward_terms"):
            column = ended.setdefault(key, {})
            column.update({int(r): info[key][r] for r in np.flatnonzero(info[f"_{key}"])})
    return [_episode(env, row, replies[row], ended) for row in rows]


def play(
    env: VisionThinkVectorEnv, agent: Agent, sample_ids: Sequence[str], seed: int = 0
) -> list[Episode]:
    """Play samples, as many at once as the environment has groups; see :func:`rollout`."""
    groups = env.num_envs // env.group_size
    parts = [sample_ids[begin : begin + groups] for begin in range(0, len(sample_ids), groups)]
    return [e for part in parts for e in rollout(env, agent, seed=seed, sample_ids=part)]


def _act(agent: Agent, conversations: list[Conversation]) -> list[Reply]:
    replies = agent.act(conversations)
    if len(replies) != len(conversations) or not all(isinstance(r, Reply) for r in replies):
        raise AgentError(
            f"agent {agent.name!r} must return one Reply for each of {len(conversations)} "
            f"conversations, got {len(replies)}"
        )
    return replies


def _generator(env: VisionThinkVectorEnv, row: int, seed: int) -> np.random.Generator:
    sample_id = env.dialogue(row).sample.id
    digest = blake2b(sample_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.random.default_rng([seed, int.from_bytes(digest, "big"), row % env.group_size])


def _episode(
    env: VisionThinkVectorEnv, row: int, replies: Sequence[Reply], ended: dict[str, Any]
) -> Episode:
    dialogue = env.dialogue(row)
    return Episode(
        sample=dialogue.sample,
        messages=dialogue.messages,
        views=dialogue.views,
        replies=replies,
        actions=dialogue.actions,
        flaws=dialogue.flaws,
        answer=dialogue.answer,
        futile=dialogue.futile,
        verdict=ended["verdict"][row],
        outcome=ended["outcome"][row],
        reward=ended["reward_terms"][row],
        partly_shown=dialogue.partly_shown,
    )
