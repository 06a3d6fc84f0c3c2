"""REINFORCE with a group baseline, from ``gym.make_vec`` and ``env.step`` alone.

    vt warmup --out runs/warmup
    python -m examples.reinforce runs/warmup

Gymnasium says what is asked, shows pictures and gives rewards; :mod:`agents` has the model, which
speaks and scores its own tokens. No trainer and no reward of this project is used.
"""

import argparse
import json
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

from agents import Agent, Conversation, Reply
from agents.models import collate, load_vlm, score
from agents.tiny import TinyAgent
from vt_env import View, open_source

NO_SAMPLE: Any = None  # a policy that learns reads no references
GROUPS, SIZE = 16, 8  # questions a step, rollouts of each
PRICE = 0.35  # of the whole picture's visual tokens, which is what asking costs more
ENTROPY = 0.05  # weight of the bonus: else one choice is gone before kinds are told apart


@dataclass
class Rollout:
    """One conversation: what was shown and said, and what came of it."""

    sample_id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    reward: float = 0.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


def play(env: gym.vector.VectorEnv, agent: Agent, rng: np.random.Generator) -> list[Rollout]:
    """All groups once. Siblings share their views, so that each is encoded once."""
    observations, info = env.reset()
    rollouts = [Rollout(sample_id) for sample_id in info["sample_id"]]
    while info["active"].any():
        actions, waiting, views = [""] * len(rollouts), [], {}
        for row in (rows := np.flatnonzero(info["active"])):
            rollout = rollouts[row]
            rollout.messages[:] = info["messages"][row]
            for pixels in observations["images"][row]:
                fresh = View(Image.fromarray(pixels), "shown")
                rollout.views.append(views.setdefault(id(pixels), fresh))
            seen = (rollout.messages, rollout.views, 0, True, rng, NO_SAMPLE, rollout.id)
            waiting.append(Conversation("", *seen))
        for row, reply in zip(rows, agent.act(waiting), strict=True):
            rollouts[row].replies.append(reply)
            actions[row] = reply.text
        observations, rewards, _, _, info = env.step(actions)
        for rollout, reward in zip(rollouts, rewards, strict=True):
            rollout.reward += float(reward)
    return rollouts


def advantages_of(rollouts: list[Rollout]) -> torch.Tensor:
    """Reward less the mean of the group's; 0 for the unscored, whose reward is NaN."""
    rewards = torch.tensor([r.reward for r in rollouts]).reshape(-1, SIZE)
    return (rewards - rewards.nanmean(1, keepdim=True)).nan_to_num().flatten()


def learn(path: str, steps: int, seed: int = 0) -> Iterator[dict[str, float]]:
    """Train; one line of numbers a step: the reward, and by kind how often it asks."""
    torch.set_num_threads(1)
    source = open_source("generated:n=24000,split=train,kinds=laptop")
    env = gym.make_vec(
        "vt_env:VisionThink-v0", num_envs=GROUPS * SIZE, group_size=SIZE, data=source,
        prompt="tiny", reward={"penalty": "none", "token_price": PRICE},
    )  # fmt: skip
    env.reset(seed=seed)
    vlm, rng = load_vlm(path), np.random.default_rng(seed)
    agent = TinyAgent(vlm, temperature=1.0, max_new_tokens=24)
    vlm.model.model.visual.requires_grad_(False)
    weights = [p for p in vlm.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0)
    rise = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / 40))
    for step in range(1, steps + 1):
        rollouts = play(env, agent, rng)
        agent.forget()
        scores = score(vlm, collate(vlm, rollouts))  # 0 but at tokens of the policy
        gain = advantages_of(rollouts) * scores.log_probs.sum(1) + ENTROPY * scores.entropy.sum(1)
        optimiser.zero_grad()
        (-gain.mean()).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        rise.step()
        asked = defaultdict(list)
        for rollout in rollouts:
            asked[source.by_id(rollout.sample_id).kind].append(len(rollout.views) > 1)
        rates = {kind: float(np.mean(flags)) for kind, flags in sorted(asked.items())}
        yield {"step": step, "reward": float(np.nanmean([r.reward for r in rollouts])), **rates}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path", metavar="CHECKPOINT")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for line in learn(**vars(arguments)):
        print(json.dumps(line), flush=True)  # noqa: T201
