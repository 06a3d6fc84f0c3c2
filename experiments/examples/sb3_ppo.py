"""PPO of Stable-Baselines3 on ``VisionThinkDiscrete-v0``: a small CNN that learns when to ask.

    make .venv-sb3/.ready
    .venv-sb3/bin/python -m experiments.examples.sb3_ppo --steps 200000

Half of the questions are about a colour, which half the size shows, half about a pattern, which
only the original does. Nothing is set but sizes and rates; policy and algorithm are the library's.
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
PRICE = 0.1


def settings(split: str, samples: int, order: str = "random") -> dict[str, Any]:
    """The environment's settings."""
    return {
        "data": f"generated:n={samples},split={split},kinds=colour+texture",
        "candidates": [*COLOURS, *TEXTURES],
        "reward": {"penalty": "none", "token_price": PRICE},
        "order": order,
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


def make_model(seed: int, envs: int = 16) -> PPO:
    """The library's own policy for dictionaries of pictures and vectors."""
    env: VecEnv = make_vec_env(NAME, envs, seed=seed, env_kwargs=settings("train", 20000))
    return PPO(
        "MultiInputPolicy",
        env,
        learning_rate=5e-4,
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        gamma=1.0,
        ent_coef=0.03,  # else it stops asking before it can read what it asked for
        seed=seed,
        device="cpu",
    )


def main() -> None:
    """Measure, learn, measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--samples", type=int, default=500, help="test pictures")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = make_model(arguments.seed)
    print(json.dumps({"steps": 0, **measure(model, arguments.samples)}), flush=True)  # noqa: T201
    model.learn(arguments.steps)
    after = measure(model, arguments.samples)
    print(json.dumps({"steps": model.num_timesteps, **after}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
