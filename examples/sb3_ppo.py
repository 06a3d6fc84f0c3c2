"""PPO of Stable-Baselines3 on ``VisionThinkDiscrete-v0``: a small CNN that learns when to ask.

    make .venv-sb3/.ready
    .venv-sb3/bin/python -m examples.sb3_ppo

Half of the questions are about a colour, which half the size shows, half about a pattern, which
only the original does. Policy and algorithm are the library's. It first learns to read, shown every
original at once, and then, on half the size and at a price, when to ask: from nothing it would stop
asking before it can read what it asked for.
"""

# pyright: reportMissingImports=false
import argparse
import json
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecEnv

from vt_env.sources.drawing import COLOURS, TEXTURES

NAME = "vt_env:VisionThinkDiscrete-v0"
PRICE = 0.1  # of the whole picture's visual tokens


def settings(
    split: str, samples: int, order: str = "random", *, reading: bool = False
) -> dict[str, Any]:
    """The environment's settings; ``reading``: the original comes first, and asking is free."""
    return {
        "data": f"generated:n={samples},split={split},kinds=colour+texture",
        "candidates": [*COLOURS, *TEXTURES],
        "reward": {"penalty": "none", "token_price": 0.0 if reading else PRICE},
        "order": order,
        "factor": 1.0 if reading else 0.5,
    }


def measure(model: PPO, samples: int) -> dict[str, dict[str, float]]:
    """Play test pictures greedily: by kind of question, how often it asks and is right."""
    env = make_vec_env(NAME, 1, env_kwargs=settings("test", samples, "sequential"))
    source = env.get_attr("base")[0].task.source
    asked, right = defaultdict(list), defaultdict(list)
    seen, played = env.reset(), 0
    while played < samples:
        actions, _ = model.predict(seen, deterministic=True)
        seen, _, done, (info,) = env.step(actions)
        if done[0]:
            kind = source.by_id(info["sample_id"]).kind
            asked[kind].append(info["outcome"].requested)
            right[kind].append(info["outcome"].correct)
            played += 1
    return {
        kind: {"n": len(right[kind]), "asks": _mean(asked[kind]), "accuracy": _mean(right[kind])}
        for kind in sorted(right)
    }


def _mean(flags: list[bool]) -> float:
    return round(float(np.mean(flags)), 3)


def make_envs(seed: int, envs: int = 16, *, reading: bool = False) -> VecEnv:
    """Environments to train in."""
    played = settings("train", 20000, reading=reading)
    return make_vec_env(NAME, envs, seed=seed, env_kwargs=played)


def make_model(env: VecEnv, seed: int) -> PPO:
    """The library's own policy for dictionaries of pictures and vectors."""
    return PPO(
        "MultiInputPolicy",
        env,
        learning_rate=5e-4,
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        gamma=1.0,
        ent_coef=0.05,  # keeps asking alive while it is worth nothing
        seed=seed,
        device="cpu",
    )


def tell(model: PPO, samples: int) -> None:
    """Print what it does on half the size."""
    print(json.dumps({"steps": model.num_timesteps, **measure(model, samples)}), flush=True)  # noqa: T201


def main() -> None:
    """Learn to read, measure, learn to ask, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--reading", type=int, default=100_000, help="steps on originals")
    parser.add_argument("--steps", type=int, default=150_000, help="steps on half the size")
    parser.add_argument("--samples", type=int, default=500, help="test pictures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = make_model(make_envs(arguments.seed, reading=True), arguments.seed)
    model.learn(arguments.reading)
    tell(model, arguments.samples)
    model.set_env(make_envs(arguments.seed))
    model.ent_coef = 0.1
    model.learn(arguments.steps, reset_num_timesteps=False)
    tell(model, arguments.samples)


if __name__ == "__main__":
    main()
