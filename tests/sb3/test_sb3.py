"""Stable-Baselines3 itself on the wrapper with a few actions: make test-sb3."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="a library of its own environment: make test-sb3")

import gymnasium as gym
from stable_baselines3 import DQN
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import SubprocVecEnv

from examples.sb3_ppo import NAME, make_envs, make_model, measure, settings
from vt_env import Sample

CHOICES = [
    Sample(
        f"s{i}", "Which one?", ("B",), np.full((40, 20, 3), 50 * i, np.uint8),
        answer_type="mcq", choices=("a cat", "a dog", "a cow")[: 2 + i % 2],
    )
    for i in range(4)
]  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("protocol", ["visionthink", "general", "low", "qwen3-vl"])
def test_its_checker_finds_nothing(protocol):
    check_env(gym.make(NAME, **settings("train", 50), protocol=protocol))


@pytest.mark.filterwarnings("error")
def test_its_checker_finds_nothing_with_choices():
    check_env(gym.make(NAME, candidates="choices", data=CHOICES))


def test_processes():
    env = make_vec_env(NAME, 2, seed=0, env_kwargs=settings("train", 50), vec_env_cls=SubprocVecEnv)
    try:
        assert env.reset()["image"].shape == (2, 64, 64, 3)
        seen, rewards, _, infos = env.step([0, env.action_space.n - 1])
        assert seen["turn"].tolist() == [[0.0], [0.5]]
        assert np.isfinite(rewards).all()
        assert infos[0]["terminal_observation"]["turn"].tolist() == [0.5]
    finally:
        env.close()


def test_ppo_learns_from_it():
    model = make_model(make_envs(0, 4, reading=True), seed=0)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(512)
    model.set_env(make_envs(0, 4))
    model.learn(512, reset_num_timesteps=False)
    assert model.num_timesteps == 1024
    moved = [not (a == b).all() for a, b in zip(before, model.policy.parameters(), strict=True)]
    assert any(moved)
    measured = measure(model, 20)
    assert sum(kind["n"] for kind in measured.values()) == 20
    assert all(0 <= kind["asks"] <= 1 for kind in measured.values())


def test_another_algorithm_takes_it_too():
    env = gym.make(NAME, **settings("train", 50), side=36)
    model = DQN("MultiInputPolicy", env, buffer_size=200, learning_starts=20, device="cpu")
    model.learn(60)
    assert model.num_timesteps == 60
