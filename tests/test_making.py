"""However Gymnasium makes them, environments of one id are the same environment."""

import doctest
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import vt_env
from vt_env import ConfigError, Query, RewardConfig, Sample, make_protocol, make_task
from vt_env.env import VisionThinkEnv
from vt_env.judges.auto import AutoJudge
from vt_env.vector import VisionThinkVectorEnv

ID = "vt_env:VisionThink-v0"
APART = {"shared_memory": False}


def answer(text: str) -> str:
    return f"<think>I see it</think>\n<answer>{text}</answer>"


@pytest.mark.parametrize("mode", [None, "vector_entry_point", "sync", "async"])
def test_every_way_gives_the_same_environment(samples: list[Sample], mode: str | None) -> None:
    """One sample a row, no penalty, and the same rewards for the same turns."""
    alone = gym.make(ID, data=samples, judge="exact", order="sequential")
    several = gym.make_vec(
        ID, num_envs=3, vectorization_mode=mode, data=samples, judge="exact",
        vector_kwargs=APART if mode == "async" else None,
    )  # fmt: skip
    seen, info = several.reset(seed=[3, 4, 5] if mode in ("sync", "async") else 3)
    ids = list(info["sample_id"])
    turns = [answer("one"), "nonsense", "<answer>two</answer>"]
    _, rewards, terminated, truncated, info = several.step(turns)
    assert terminated.all()
    assert not truncated.any()
    assert len({id(row) for row in seen["image"]}) == 3
    for row, (sample_id, turn) in enumerate(zip(ids, turns, strict=True)):
        observation, _ = alone.reset(options={"sample_id": sample_id})
        assert np.array_equal(observation["image"], seen["image"][row])
        assert alone.step(turn)[1] == rewards[row]
    several.close()


def test_the_bare_name_needs_the_import_alone() -> None:
    """Gymnasium 1.0 removed its plug-ins. If they come back, pyproject should have one."""
    code = (
        "import gymnasium as gym\n"
        "try:\n    gym.make('VisionThink-v0')\n"
        "except gym.error.NameNotFound:\n    import vt_env\n"
        "else:\n    raise SystemExit('there are plug-ins again')\n"
        "print(gym.make('VisionThink-v0').spec.id, gym.make('vt_env:VisionThink-v0').spec.id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["VisionThink-v0"] * 2, "")
    assert not hasattr(gym.envs.registration, "load_plugin_envs")


def test_the_defaults_are_one(samples: list[Sample]) -> None:
    alone = VisionThinkEnv(samples)
    several = VisionThinkVectorEnv(8, data=samples)
    assert several.group_size == 1
    assert several.reward_config == alone.reward_config == RewardConfig(penalty="none")
    grouped = VisionThinkVectorEnv(8, group_size=4, data=samples)
    assert grouped.reward_config == alone.reward_config


@pytest.mark.parametrize(
    "make",
    [
        lambda **s: gym.make(ID, **s),
        lambda **s: gym.make_vec(ID, num_envs=2, **s),
        lambda **s: gym.make_vec(ID, num_envs=2, vectorization_mode="sync", **s),
    ],
)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reward": RewardConfig(accuracy_weight=2)}, "give penalty='none'"),
        ({"reward": {"penalty": "rate"}}, "group_size must be at least 2"),
        ({"factr": 0.5}, "Did you mean 'factor'"),
        ({"data": make_task("generated:n=9"), "factor": 0.3}, "factor: a Task holds its own"),
        ({"data": make_task("generated:n=9"), "judge": "exact"}, "judge: a Task holds its own"),
        ({"protocol": make_protocol(), "factor": 0.3}, "factor: a finished Protocol"),
    ],
)
def test_what_cannot_be_had_is_said(
    make: Callable[..., Any], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        make(**settings)


def test_groups_are_of_the_batched_environment() -> None:
    for make in (
        lambda: gym.make(ID, group_size=4),
        lambda: gym.make_vec(ID, num_envs=4, vectorization_mode="sync", group_size=4),
    ):
        with pytest.raises(ConfigError, match=r"groups are gym\.make_vec's"):
            make()


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_shared_memory_is_refused_in_one_sentence(context: str) -> None:
    with pytest.raises(ConfigError, match="give shared_memory=False"):
        AsyncVectorEnv([VisionThinkEnv] * 2, context=context)
    with pytest.raises(ConfigError, match="vector_kwargs="):
        gym.make_vec(ID, num_envs=2, vectorization_mode="async")


def maths(judge: Any = None) -> VisionThinkEnv:
    picture = np.zeros((56, 56, 3), np.uint8)
    sample = Sample("m", "What is the formula?", (r"\frac{x+1}{2}",), picture)
    return VisionThinkEnv([sample], judge=judge or "auto", protocol="general")


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_processes_judge_each_for_itself(context: str) -> None:
    """The rules of ``auto`` in every row's own process."""
    make = maths
    if context == "fork":  # a judge that has been at work in the parent already
        judge = AutoJudge()
        (verdict,) = judge.score([Query("What is 1/2 x?", (r"\frac{x}{2}",), r"0.5x")])
        assert verdict.correct

        def make() -> VisionThinkEnv:
            return maths(judge)

    env = AsyncVectorEnv(
        [make] * 3, shared_memory=False, context=context, autoreset_mode=AutoresetMode.DISABLED
    )
    try:
        for turn, reward in (((r"(1+x)/2"), 1.5), ("(1-x)/2", 0.5)):
            env.reset()
            _, rewards, terminated, _, info = env.step((answer(turn),) * 3)
            assert terminated.all()
            assert rewards.tolist() == [reward] * 3, info["verdict"]
    finally:
        env.close(terminate=True)


def test_threads_share_a_task() -> None:
    """Sixteen environments of one task step in eight threads, as a server does it."""
    picture = np.zeros((56, 56, 3), np.uint8)
    task = make_task(
        [Sample("m", "What is the formula?", (r"\frac{x+1}{2}",), picture)],
        protocol="general",
        judge="auto",
    )

    def play(number: int) -> float:
        env = VisionThinkEnv(task)
        env.reset()
        return env.step(answer("(1+x)/2" if number % 2 else f"(1+x)/{number + 3}"))[1]

    assert play(1) == 1.5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(play, range(16))) == [0.5, 1.5] * 8
    task.close()


def test_sync_rows_may_differ(samples: list[Sample]) -> None:
    env = SyncVectorEnv([lambda: VisionThinkEnv(samples[:1]), lambda: VisionThinkEnv(samples[1:])])
    assert env.reset()[1]["sample_id"][0] == samples[0].id


def test_the_packages_own_example_is_right() -> None:
    done = doctest.testmod(vt_env)
    assert done.attempted >= 7
    assert not done.failed


def test_importing_registers(tmp_path: Path) -> None:
    code = "import gymnasium, vt_env; print(gymnasium.make('VisionThink-v0').unwrapped)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "VisionThinkEnv" in done.stdout
