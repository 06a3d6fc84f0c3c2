"""Scripted agents: when each asks, what each answers, and that a rollout keeps everything."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agents import Conversation, Episode, Reply, make_agent, rollout
from agents.rollout import AgentError
from agents.scripted import Confident, Direct, Oracle, SizeThreshold
from agents.tiny import make_vlm, save
from vt_env import ConfigError, PictureRules, Sample, View, make_task
from vt_env.judges import Query, Verdict
from vt_env.sources import open_source
from vt_env.specs import parse_spec
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
        ("random:half", "takes a number as p, got 'half'"),
        ("random:[", r"takes a number as p, got '\['"),
        ("random:p=", "takes a number as p, got ''"),
        ("random:nan", "takes a number as p, got 'nan'"),
        ("random:1e999", "takes a number as p, got '1e999'"),
        ("random:0.3,p=0.4", "got p twice"),
        ("random:0.3,ocr,7", "takes p, answerer without a name, got 3 values"),
        ("ocr:foo", "takes a number as threshold, got 'foo'"),
        ("ocr:threads=0", "threads must be at least 1, got 0"),
        ("confident:2", "between 0 and 1, got 2"),
        ("size-threshold:abc", "takes a whole number as pixels, got 'abc'"),
        ("size-threshold:1.5", "takes a whole number as pixels, got '1.5'"),
        ("tiny", "needs path: write tiny:PATH"),
        ("transformers:temperature=1", "needs path: write transformers:PATH"),
        ("openai", "needs address: write openai:ADDRESS"),
        ("tiny:/no/such/folder", "there is no folder '/no/such/folder'"),
        (
            "transformers:runs/lr=3e-4,seed=1/model",
            "there is no folder 'runs/lr=3e-4,seed=1/model'",
        ),
        ('transformers:"/a,seed=1",batch=0', "batch must be at least 1, got 512 and 0"),
        ('transformers:"/a', "expected"),
    ],
)
def test_wrong_specs(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_agent(spec)


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    secret = "sk-0123456789abcdefghijkl"
    for spec in (f"openai:m,temperature={secret}", f"random:{secret}"):
        with pytest.raises(ConfigError, match="25 characters") as raised:
            make_agent(spec)
        assert secret[3:12] not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "read"),
    [
        ("random:p=3e-1", ("random", [], {"p": 0.3})),
        ("random:3e-1,ocr", ("random", ["3e-1", "ocr"], {})),
        ("tiny:/runs/lr=3e-4,seed=1/model", ("tiny", ["/runs/lr=3e-4", "seed=1/model"], {})),
        ('tiny:"/runs/a,seed=1",batch=4', ("tiny", ["/runs/a,seed=1"], {"batch": 4})),
        ("tiny:/a,b/c,batch=4", ("tiny", ["/a", "b/c"], {"batch": 4})),
        ("oracle:judge=openai:m@http://h/v1", ("oracle", [], {"judge": "openai:m@http://h/v1"})),
        ("direct", ("direct", [], {})),
        ("direct:", ("direct", [], {})),
        (
            "a:b=007,c=-1.5E3,d=True,e=1e999",
            ("a", [], {"b": "007", "c": -1500.0, "d": True, "e": "1e999"}),
        ),
    ],
)
def test_how_a_spec_is_read(spec: str, read: object) -> None:
    assert parse_spec(spec, ("judge",)) == read


def test_a_path_may_have_commas_and_equals_signs(tmp_path: Path) -> None:
    folder = tmp_path / "lr=3e-4,seed=1" / "model,best"
    folder.parent.mkdir()
    save(make_vlm(seed=0), folder)
    agent = make_agent(f"tiny:{folder},temperature=5e-1,batch=3")
    assert (agent.name, agent.temperature, agent.batch) == ("model,best", 0.5, 3)


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


def test_the_oracle_sees_what_the_environment_shows_and_asks_its_judge_once() -> None:
    """A picture that only the environment's own rules accept, and two judgements a rollout."""
    pixels = np.full((1, 300, 3), 200, np.uint8)
    long = [Sample(f"s{i}", "What is written?", (WORD,), pixels) for i in range(6)]
    asked: list[int] = []

    class Counting:
        name = "counting"

        def score(self, queries: Sequence[Query]) -> list[Verdict]:
            asked.append(len(queries))
            return [Verdict(q.answer in q.references, self.name, "") for q in queries]

    rules = PictureRules(max_aspect=1000)
    source = open_source(long, check="none")
    task = make_task(source, rules=rules, tokens="internvl", judge="exact")
    env = VisionThinkVectorEnv(6, data=task, order="sequential")
    played = rollout(env, Oracle(judge=Counting(), answerer=HalfBlind()))
    assert all(e.outcome.requested and e.verdict.correct for e in played)
    assert asked == [12]


def test_the_oracle_is_a_bound(samples: list[Sample]) -> None:
    played = episodes(Oracle(answerer=HalfBlind()), 4, samples)
    assert all(e.outcome.requested and e.verdict.correct for e in played)
