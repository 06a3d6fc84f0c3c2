"""Scripted agents: when each asks, what each answers, and that a rollout keeps everything."""

from collections.abc import Sequence

import numpy as np
import pytest

from agents import Conversation, Episode, Reply, make_agent, rollout
from agents.rollout import AgentError
from agents.scripted import Confident, Direct, Oracle, SizeThreshold
from vt_env import ConfigError, Sample, View
from vt_env.vector import VisionThinkVectorEnv

WORD = "forty-seven"


class HalfBlind:
    """Reads only originals; says how sure it is."""

    def guess(self, question: str, view: View, sample: Sample):  # type: ignore[no-untyped-def]
        from agents.answerers import Guess

        if view.method == "original":
            return Guess(sample.references[0], 0.9, "clear")
        return Guess("?", 0.1, "blurry", sharper_helps="hopeless" not in question)


def episodes(agent: object, n: int = 24, data: object = "generated:n=24") -> list[Episode]:
    env = VisionThinkVectorEnv(n, group_size=1, data=data, order="sequential")
    return rollout(env, agent, sample_ids=list(env.task.source.ids())[:n])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "rate"),
    [("direct", 0.0), ("request", 1.0), ("random:0.0", 0.0), ("random:p=1", 1.0)],
)
def test_when_they_ask(spec: str, rate: float) -> None:
    played = episodes(make_agent(spec))
    assert np.mean([e.outcome.requested for e in played]) == rate
    assert all(e.outcome.well_formed for e in played)


def test_on_generated_pictures_an_ideal_eye_shows_the_gap() -> None:
    direct, request, oracle = (
        episodes(make_agent(name)) for name in ("direct", "request", "oracle")
    )
    needed = [e.sample.metadata["needs_high"] for e in direct]
    assert 0 < np.mean(needed) < 1
    assert [e.verdict.correct for e in direct] == [not n for n in needed]
    assert all(e.verdict.correct for e in request)
    assert all(e.verdict.correct for e in oracle)
    assert [e.outcome.requested for e in oracle] == needed
    assert {e.outcome.visual_tokens for e in direct} == {4}
    assert {e.outcome.visual_tokens for e in request} == {20}


def test_random_depends_on_seed_and_sample_only() -> None:
    agent = make_agent("random:p=0.5")
    wide = {e.sample.id: e.outcome.requested for e in episodes(agent, 24)}
    narrow = {e.sample.id: e.outcome.requested for e in episodes(agent, 8)}
    assert {k: wide[k] for k in narrow} == narrow
    env = VisionThinkVectorEnv(24, group_size=24, data="generated:n=24")
    group = [e.outcome.requested for e in rollout(env, agent, seed=1)]
    assert 0 < np.mean(group) < 1  # siblings draw apart


def test_size_threshold(samples: list[Sample]) -> None:
    asks = SizeThreshold(pixels=320 * 240, answerer=HalfBlind())
    rests = SizeThreshold(pixels=320 * 240 + 1, answerer=HalfBlind())
    assert all(e.verdict.correct for e in episodes(asks, 4, samples))
    assert not any(e.outcome.requested for e in episodes(rests, 4, samples))


def test_confident_asks_where_a_closer_look_can_help(samples: list[Sample]) -> None:
    hopeless = Sample("h", "A hopeless question?", ("x",), samples[0].image)
    played = episodes(Confident(0.5, HalfBlind()), 5, [*samples, hopeless])
    assert [e.outcome.requested for e in played] == [True] * 4 + [False]


def test_ideal_refuses_data_that_does_not_say_what_it_needs(samples: list[Sample]) -> None:
    with pytest.raises(ConfigError, match="answerer=ocr"):
        episodes(Direct("ideal"), 4, samples)


def test_an_episode_keeps_everything() -> None:
    (episode,) = episodes(make_agent("request"), 1)
    assert [m["role"] for m in episode.messages] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert [v.size for v in episode.views] == [(16, 16), (32, 32)]
    assert len(episode.replies) == len(episode.actions) == 2
    assert episode.reward.total == 1.5
    assert not episode.futile


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("oracl", "Did you mean 'oracle'"),
        ("random:p=2", "between 0 and 1"),
        ("random:q=1", "Unknown option of the agent 'random'"),
        ("random:p=1,p=0", "each key once"),
        ("size-threshold:0", "at least 1"),
        ("confident:threshold=-1", "between 0 and 1"),
        ("direct:answerer=eyes", "Unknown answerer"),
        ("oracle:judge=nobody", "Unknown judge"),
    ],
)
def test_wrong_specs(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_agent(spec)


class Broken:
    name = "broken"

    def __init__(self, replies: list[object]) -> None:
        self.replies = replies

    def act(self, conversations: Sequence[Conversation]) -> list[object]:
        return self.replies


def test_an_agent_that_breaks_its_contract() -> None:
    with pytest.raises(AgentError, match="one Reply for each of 2"):
        episodes(Broken([Reply("x")]), 2)
    with pytest.raises(AgentError, match="Reply"):
        episodes(Broken(["x", "y"]), 2)


def test_the_oracle_is_a_bound(samples: list[Sample]) -> None:
    played = episodes(Oracle(answerer=HalfBlind()), 4, samples)
    assert all(e.outcome.requested and e.verdict.correct for e in played)
