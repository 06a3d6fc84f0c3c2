"""Agents that zoom by a rule, in every protocol of the field."""

import pytest

from agents import rollout
from agents.registry import make_agent
from vt_env import ConfigError, Sample, open_source
from vt_env.protocol import PRESETS
from vt_env.vector import VisionThinkVectorEnv

ZOOMING = [name for name in PRESETS if name not in ("visionthink", "general", "low")]


def play(agent: str, protocol: str, data: str = "generated:n=16,side=128", **settings):
    env = VisionThinkVectorEnv(16, data=data, protocol=protocol, judge="exact", **settings)
    return rollout(env, make_agent(agent), sample_ids=env.task.source.ids()[:16])


@pytest.mark.parametrize("protocol", ZOOMING)
def test_the_oracle_looks_at_the_answer_in_every_protocol(protocol: str) -> None:
    for episode in play("zoom-oracle", protocol, tokens="qwen2.5-vl"):
        outcome = episode.outcome
        assert outcome.correct, episode.actions
        if protocol not in ("deepeyes", "pixel-reasoner"):  # which refuse small boxes
            assert outcome.calls == 1
            assert outcome.failed_calls == 0
            assert outcome.found == pytest.approx(1, abs=0.2)


def test_in_visionthinks_protocol_there_is_nothing_to_zoom_with() -> None:
    assert all(e.outcome.calls == 0 for e in play("zoom-oracle", "visionthink"))


def test_the_oracle_beats_chance_where_details_are_lost() -> None:
    settings = {"data": "generated:n=16,kinds=small_number,side=128", "tokens": "qwen2.5-vl"}
    right = [e.outcome.correct for e in play("zoom-oracle", "adaptvision", **settings)]
    guess = [e.outcome.correct for e in play("zoom-random:share=0.3", "adaptvision", **settings)]
    assert all(right)
    assert sum(guess) < 8


def test_random_zooms_stay_in_budget() -> None:
    for episode in play("zoom-random:zooms=9", "mini-o3", tokens="qwen2.5-vl"):
        assert episode.outcome.calls == 5
        assert not episode.outcome.truncated


def test_without_a_box_there_is_no_oracle(samples: list[Sample]) -> None:
    env = VisionThinkVectorEnv(1, data=open_source(samples), protocol="qwen3-vl", judge="exact")
    with pytest.raises(ConfigError, match=r"answer_box'\], which sample"):
        rollout(env, make_agent("zoom-oracle:ideal"))
    with pytest.raises(ConfigError, match="share above 0"):
        make_agent("zoom-random:share=2")
