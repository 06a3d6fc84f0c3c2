"""The references beside a policy: the model it was, with the decision made otherwise."""

from pathlib import Path

import pytest

from experiments.policies import NAMES, compare
from vt_env import make_task


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> object:
    from agents.tiny import TinyAgent, TinyConfig, make_vlm, save

    folder: Path = tmp_path_factory.mktemp("tiny")
    save(make_vlm(TinyConfig(), 0), folder)
    return TinyAgent(folder)


def test_every_reference_asks_by_its_rule(agent: object) -> None:
    data = "generated:n=12,kinds=laptop"
    task = make_task(data, prompt="tiny")
    full = make_task(data, protocol="general", prompt="tiny")
    played = dict(compare(agent, agent, task, full, batch=8))  # type: ignore[arg-type]
    assert played.keys() == set(NAMES)
    ids = [e.sample.id for e in played["trained"]]
    assert all([e.sample.id for e in episodes] == ids for episodes in played.values())

    def ratio(name: str) -> float:
        shown = sum(e.outcome.visual_tokens for e in played[name])
        return shown / sum(e.outcome.full_tokens for e in played[name])

    assert (ratio("low"), ratio("full")) == (0.25, 1.0)
    assert ratio("size_threshold") == 0.25  # no picture is that large
    for name in ("low", "size_threshold", "full"):
        assert not any(e.outcome.requested for e in played[name])
    begun = [e.replies[0].text for e in played["always_request"]]
    assert all("<tool_call>" in text for text in begun)
    pays = [
        bool(high.verdict.correct and not low.verdict.correct)
        for low, high in zip(played["low"], played["always_request"], strict=True)
    ]
    asked = ["<tool_call>" in e.replies[0].text for e in played["oracle"]]
    assert asked == pays
