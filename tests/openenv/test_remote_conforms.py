"""The recorded transcripts through a real server; see docs/architecture.md."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from agents import Reply
from trainers.conformance import (
    Case,
    Rollout,
    Script,
    cases,
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
)
from trainers.conformance.cases import Recorded
from trainers.openenv.client import VisionThinkClient, play_group
from trainers.openenv.server import Serving, served
from vt_env import make_task
from vt_env.rewards import RewardConfig


class Says:
    """The agent of one group: a script's next turns."""

    name = "script"

    def __init__(self, script: Script, sample_id: str) -> None:
        self.script = script
        self.sample_id = sample_id

    def act(self, conversations) -> list[Reply]:
        return [Reply(self.script.turn(self.sample_id, id(c.messages))) for c in conversations]


def read(messages) -> list[tuple[str, bool]]:
    """The conversation as the client's agent reads it, and which of it its turns are."""
    made: list[tuple[str, bool]] = []
    for message in messages:
        mine = message["role"] == "assistant"
        text = "".join(block.get("text", "<image>") for block in message["content"])
        before = made.pop()[0] if made and made[-1][1] == mine else ""
        made.append((before + text, mine))
    return made


class Remote:
    """All groups of a case at once, every rollout in a session of its own.

    Rewards are the server's where it can know them, else those of the group.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.urls: dict[tuple[str, RewardConfig | None], str] = {}  # by rules and reward

    def play(self, case: Case) -> list[list[Rollout]]:
        return asyncio.run(self._play(case, self._url(case)))

    def _url(self, case: Case) -> str:
        reward = None if case.reward.needs_group else case.reward
        if (key := (json.dumps(case.environment), reward)) not in self.urls:
            samples = {g.sample.id: g.sample for c in cases() for g in c.groups}
            task = make_task(list(samples.values()), judge=Recorded(), **case.environment)
            serving = Serving(port=0, sessions=200)
            self.urls[key] = self.stack.enter_context(served(task, serving, reward=reward))
        return self.urls[key]

    async def _play(self, case: Case, url: str) -> list[list[Rollout]]:
        script = Script(case)
        groups = (self._group(case, group, script, url) for group in case.groups)
        return await asyncio.gather(*groups)

    async def _group(self, case, group, script, url) -> list[Rollout]:
        clients = [VisionThinkClient(url, connect_timeout_s=60) for _ in group.transcripts]
        agent = Says(script, group.sample.id)
        config = case.reward if case.reward.needs_group else None
        try:
            episodes = await play_group(clients, agent, config, sample_id=group.sample.id)
        finally:
            await asyncio.gather(*(client.close() for client in clients))
        return [
            Rollout(
                reward=episode.reward.total if config else episode.last.reward,
                penalty=episode.reward.penalty,
                requested=len(episode.views) > len(group.sample.images),
                visual_tokens=episode.last.visual_tokens,
                stretches=read(episode.messages),
            )
            for episode in episodes
        ]


SEVERAL_VIEWS = ["crops", "pictures", "budget"]


@pytest.fixture(scope="module")
def remote():
    with ExitStack() as stack:
        yield Remote(stack)


def test_rewards(remote):
    check_rewards(remote)


def test_groups(remote):
    check_groups(remote, ["paper", "rate", "price", "general", *SEVERAL_VIEWS])


def test_turns_stand_where_they_were_said(remote):
    check_masks(remote, ["paper", "general", "low", *SEVERAL_VIEWS])


def test_visual_tokens(remote):
    check_visual_tokens(remote, ["none", "general", "low", *SEVERAL_VIEWS])


def test_no_scores_are_not_zeros(remote):
    (case,) = cases(["none"], ["unscored"])
    (rollouts,) = remote.play(case)
    unscored = [expected.reward is None for expected in case.groups[0].expected]
    assert any(unscored)
    assert [rollout.reward is None for rollout in rollouts] == unscored
