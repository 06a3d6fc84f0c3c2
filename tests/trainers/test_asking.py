"""How likely a model here was to ask: its replies tell, and its turns stay what they were."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from vt_env.vector import VisionThinkVectorEnv

pytest.importorskip("torch")
pytest.importorskip("transformers")

from agents import rollout, transformers
from agents.models import load_vlm
from agents.tiny.agent import TinyAgent


def test_a_reply_tells_how_likely_a_request_was(recipe, monkeypatch) -> None:
    """The probability is the model's own: that of the word with which a forced request parts."""
    monkeypatch.setattr(transformers, "_DECIDED", 0.5)  # this policy has half learnt the format
    config = recipe("rollout.probes=1", "rollout.temperature=0.7")
    vlm = load_vlm(config.model.path, dtype="float32")
    env = VisionThinkVectorEnv(8, group_size=2, data="generated:n=4", prompt="tiny", tokens="tiny")

    class Deaf(TinyAgent):
        _parting = [], []

    free, deaf = (rollout(env, kind(vlm, temperature=0.7), seed=1) for kind in (TinyAgent, Deaf))
    forced = rollout(env, TinyAgent(vlm, temperature=1.0, arm="request"), seed=1)
    pairs = [
        (one.replies[0].asking, math.exp(other.replies[0].log_probs[1]))
        for one, other in zip(free, forced, strict=True)
        if one.replies[0].asking is not None
    ]
    assert pairs
    assert [one for one, _ in pairs] == pytest.approx([two for _, two in pairs], rel=1e-4)
    for one, other in zip(free, deaf, strict=True):
        assert [replace(r, asking=None) for r in one.replies] == list(other.replies)
        assert all(r.asking is None for r in one.replies[1:])  # no call could follow
    assert all(e.replies[0].asking is None for e in forced)
    monkeypatch.setattr(transformers, "_DECIDED", 1.01)
    unsure = rollout(env, TinyAgent(vlm, temperature=0.7), seed=1)
    assert all(r.asking is None for e in unsure for r in e.replies)
