"""A turn that fails costs its rollout, which is unscored, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_server import ChatServer

pytest.importorskip("httpx2")

from evaluating import evaluate

from agents import Reply, closing, make_agent, rollout
from agents.base import answer_turn
from agents.rollout import AgentError
from experiments.cli import main
from vt_env import Sample
from vt_env.actions import NoTurn
from vt_env.env import VisionThinkEnv
from vt_env.task import make_task
from vt_env.vector import VisionThinkVectorEnv

OPTIONS = "tries=1,concurrency=1"
GOOD = {"text": answer_turn("one", "I see.")}
BAD = {"status": 400, "body": '{"error": {"message": "this picture is too large"}}'}


def failing_on(bad: Callable[[int], bool]) -> Any:
    return lambda _, number: BAD if bad(number) else GOOD


def run(behave: Any, n: int, batch: int = 16) -> list[Any]:
    with (
        ChatServer(behave) as server,
        closing(make_agent(f"openai:m@{server.url},{OPTIONS}")) as agent,
    ):
        return list(evaluate(make_task(f"generated:n={n}"), agent, batch=batch))


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_one_failed_turn_is_unscored_and_the_others_are_kept(batch: int):
    episodes = run(failing_on(lambda number: number == 3), 12, batch)
    assert len(episodes) == 12
    failed = [e for e in episodes if e.replies[-1].failure]
    assert len(failed) == 1
    (one,) = failed
    assert (one.verdict.correct, one.outcome.correct, one.reward.total) == (None, None, None)
    assert "this picture is too large" in one.verdict.reason
    assert one.messages == one.messages[:2]  # nothing is put into the policy's mouth
    others = [e for e in episodes if e is not one]
    assert {e.replies[0].text for e in others} == {GOOD["text"]}
    assert None not in [e.verdict.correct for e in others]


def test_a_server_that_never_gave_a_turn_stops_the_run_at_once():
    with pytest.raises(AgentError, match="too large"):
        run(failing_on(lambda _: True), 4, batch=1)


def test_a_server_that_fails_too_often_stops_the_run():
    asked: list[int] = []

    def fails(number: int) -> bool:
        asked.append(number)
        return number >= 30

    with pytest.raises(AgentError, match=r"in 3\d of its last 6\d turns, too many to go on"):
        run(failing_on(fails), 200, batch=8)
    assert len(asked) < 80


def test_the_command_line_counts_it_as_unscored(tmp_path: Path):
    with ChatServer(failing_on(lambda number: number == 1)) as server:
        arguments = ["--agent", f"openai:m@{server.url},{OPTIONS}", "--data", "generated:n=4"]
        assert main(["eval", *arguments, "--out", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    assert [row["correct"] is None for row in rows].count(True) == 1


def test_a_group_compares_those_that_were_played(samples: list[Sample]):
    env = VisionThinkVectorEnv(4, group_size=4, data=samples, judge="exact")
    env.reset(seed=0, options={"sample_ids": ["s1"]})
    right = answer_turn("one", "I see.")
    *_, rewards, _, _, info = env.step([right, NoTurn("gone"), right, right])
    assert np.isnan(rewards).tolist() == [False, True, False, False]
    assert info["verdict"][1].reason == "no turn: gone"
    whole = VisionThinkVectorEnv(3, group_size=3, data=samples, judge="exact")
    whole.reset(seed=0, options={"sample_ids": ["s1"]})
    assert whole.step([right] * 3)[1].tolist() == [rewards[0], rewards[2], rewards[3]]


def test_the_single_environment_ends_unscored(samples: list[Sample]):
    env = VisionThinkEnv(samples, judge="exact")
    env.reset(seed=0)
    assert NoTurn("gone") in env.action_space
    _, reward, terminated, _, info = env.step(NoTurn("gone"))
    assert np.isnan(reward)
    assert terminated
    assert info["verdict"].correct is None
    assert env.dialogue.failure == "gone"


class FailsSecond:
    """Asks for the original, then has no second turn for some."""

    name = "fails-second"

    def act(self, conversations):
        asks = Reply('<think>small</think><tool_call>{"name": "resize_image", "arguments": '
                     '{"action": "resize"}}</tool_call>')  # fmt: skip
        return [
            Reply("", failure="gone") if c.turn and c.sample.id == "s2" else
            Reply(answer_turn("x", "I see.")) if c.turn else asks
            for c in conversations
        ]  # fmt: skip


def test_a_second_turn_that_fails(samples: list[Sample]):
    env = VisionThinkVectorEnv(4, group_size=1, data=samples, judge="exact")
    episodes = rollout(env, FailsSecond())
    assert {e.sample.id: e.verdict.correct for e in episodes}["s2"] is None
    assert [e.verdict.correct for e in episodes].count(False) == 3
    assert [e.outcome.requested for e in episodes] == [True] * 4
    assert all(len(e.replies) == len(e.actions) == 2 for e in episodes)
