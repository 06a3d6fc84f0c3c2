"""Probes: every arm that a protocol has is tried, in the protocol's own words, or it is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vt_env import ConfigError, ToolCall, make_task
from vt_env.protocol import PRESETS, make_protocol

pytest.importorskip("torch")
pytest.importorskip("transformers")

from agents.models import load_vlm
from agents.tiny.agent import TinyAgent
from agents.tiny.checkpoint import save
from agents.tiny.pages.model import make_vlm
from agents.tiny.pages.zoom import PagesAgent
from agents.transformers import PREFIXES
from trainers import runs
from trainers.episodes import is_probe
from trainers.local import play
from trainers.models import Validation
from trainers.probes import arms_of, probe_starts

(ZOOM,) = make_protocol("zoom").tools
TWO = make_protocol(tools=["resize_image", ZOOM], prompt="tiny")


@pytest.mark.parametrize("prefixes", [PREFIXES, TinyAgent.prefixes, PagesAgent.prefixes])
def test_with_the_papers_tool_the_arms_are_the_agents_own_beginnings(prefixes) -> None:
    arms = {arm: prefixes[arm] for arm in ("direct", "request")}
    assert arms_of(prefixes, make_protocol()) == arms
    assert list(arms_of(prefixes, make_protocol()).items()) == list(arms.items())


@pytest.mark.parametrize("protocol", [p for p in PRESETS if p not in ("low", "general")] + [TWO])
def test_a_call_that_begins_with_its_arm_is_read_as_that_call(protocol) -> None:
    rules = make_protocol(protocol)
    direct, *calling = arms_of(PREFIXES, rules).values()
    assert direct == PREFIXES["direct"]
    for tool, start in zip(rules.tools, calling, strict=True):
        call = ToolCall(tool.name, {"items": ["0"]})
        named = tool.name if len(rules.tools) > 1 else ""
        whole = rules.grammar.write(call)
        begun = rules.grammar.begun(named)
        assert start.endswith(begun)
        read = rules.grammar.read(start + whole.partition(begun)[2])
        assert isinstance(read, ToolCall)
        assert (read.name, read.arguments) == (call.name, call.arguments)
        assert not read.flaws


@pytest.fixture
def two_tools(recipe, monkeypatch):
    """A recipe whose task has two tools."""

    def task_of(data, _):
        return make_task(data, protocol=TWO, judge="exact")

    for module in (play, runs):
        monkeypatch.setattr(module, "task_of", task_of)
    return lambda *overrides: recipe("rollout.probes=1", *overrides)


def test_with_two_tools_each_is_called_by_as_many_rollouts(two_tools, tmp_path) -> None:
    save(make_vlm(0), tmp_path)
    config = two_tools("model.agent=pages", f"model.path={tmp_path}",
                       "data.train=pages:n=8,kinds=form,split=train")  # fmt: skip
    episodes = play.Player(config, load_vlm(tmp_path, dtype="float32")).play(1)
    starts = list(arms_of(PagesAgent.prefixes, TWO).values())
    assert len(starts) == 3
    for begin in range(0, len(episodes), 4):
        *probes, free = episodes[begin : begin + 4]
        for probe, start in zip(probes, starts, strict=True):
            assert probe.replies[0].text.startswith(start)
            assert is_probe(probe)
        assert not is_probe(free)


def test_arms_that_do_not_fit_or_cannot_be_said_are_refused(two_tools) -> None:
    with pytest.raises(ConfigError, match=r"1 of each of 3 arms \(direct, resize_image, image_zo"):
        probe_starts(two_tools("rollout.group_size=2"), TWO)
    with pytest.raises(ConfigError, match="do not fit into groups of 2"):
        runs.check_start(two_tools("rollout.group_size=2"))
    other = replace(TWO, tools=(*TWO.tools, replace(ZOOM, name="a"),
                                replace(ZOOM, name="b")))  # fmt: skip
    pages = two_tools("model.agent=pages", "rollout.group_size=8")
    with pytest.raises(ConfigError, match="no beginning of its own for each of direct, resize_ima"):
        probe_starts(pages, other)
    config = two_tools()
    player = play.Player(config, load_vlm(config.model.path, dtype="float32"))
    with pytest.raises(ConfigError, match=r"no words for a turn that begins with '<think>blurry"):
        player.play(1)


@pytest.mark.parametrize("arm", ["direct", "request"])
def test_an_arm_is_taken_by_every_rollout_and_in_every_evaluation(recipe, arm) -> None:
    config = recipe("rollout.probes=0", f"rollout.arm={arm}", "tracking.episodes=8")
    vlm = load_vlm(config.model.path, dtype="float32")
    trained = play.Player(config, vlm).play(1)
    _, measured = Validation(config, vlm).run()
    for episode in (*trained, *measured):
        assert is_probe(episode)
        assert episode.replies[0].text.startswith(TinyAgent.prefixes[arm])
    assert trained
    assert measured


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["rollout.arm=ask"], r"Unknown arm \(rollout.arm\) 'ask'.*Known: direct, request"),
        (["rollout.arm=request", "environment.protocol=low"], "no tool, so nothing is decided"),
        (["rollout.arm=request", "rollout.probes=1"], "arm=request forces all rollouts"),
    ],
)
def test_an_arm_that_cannot_be_taken_is_refused(recipe, settings, sentence) -> None:
    with pytest.raises(ConfigError, match=sentence):
        runs.check_start(recipe("rollout.probes=0", *settings))
