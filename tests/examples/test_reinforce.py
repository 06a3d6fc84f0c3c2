"""The loop that knows Gymnasium alone: its tokens, its baseline, and that it takes steps."""

from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from agents.models import collate, score  # noqa: E402
from agents.tiny import TinyAgent, make_vlm, save  # noqa: E402
from examples import reinforce  # noqa: E402
from examples.reinforce import Rollout  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vlm():
    return make_vlm(seed=1)


def test_what_was_played_is_what_is_learnt_from(vlm):
    env = gym.make_vec("vt_env:VisionThink-v0", num_envs=6, group_size=3, prompt="tiny")
    agent = TinyAgent(vlm, temperature=1.0)
    rollouts = reinforce.play(env, agent, np.random.default_rng(0))
    sampled = [sum(sum(reply.log_probs) for reply in r.replies) for r in rollouts]
    with torch.no_grad():
        scored = score(vlm, collate(vlm, rollouts)).log_probs.sum(1)
    assert scored.tolist() == pytest.approx(sampled, abs=1e-3)
    assert [len(r.views) for r in rollouts] == [len(env.dialogue(i).views) for i in range(6)]
    assert rollouts[0].views[0] is rollouts[2].views[0]
    assert rollouts[0].views[0] is not rollouts[3].views[0]


def rollout_of(reward: float) -> Rollout:
    return Rollout("", reward=reward)


def test_unscored_rollouts_teach_nothing_and_count_nowhere():
    rewards = [1.0, 0.0, *[math.nan] * 5, 0.5, *[1.5] * 8, *[math.nan] * 8]
    advantages = reinforce.advantages_of([rollout_of(r) for r in rewards])
    assert advantages.tolist() == [0.5, -0.5, *[0.0] * 22]


def test_it_takes_steps_and_they_are_the_same_again(tmp_path, vlm):
    path = str(save(vlm, tmp_path / "tiny"))
    first = list(reinforce.learn(path, steps=2, seed=3))
    assert [line["step"] for line in first] == [1, 2]
    assert -1.25 * reinforce.PRICE <= first[0]["reward"] <= 1.5
    assert list(reinforce.learn(path, steps=2, seed=3)) == first
