"""REINFORCE with a group baseline, from ``gym.make_vec`` and ``env.step`` alone.

    vt warmup --out runs/warmup
    python -m experiments.examples.reinforce runs/warmup --steps 60

The environment says what is asked, shows pictures and gives rewards; a rollout keeps its tokens
and which of them are its own. No trainer and no reward of this project is used.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
import torch
from PIL import Image

from agents.models import VisionLanguageModel, load_vlm
from agents.models.generation import Stretch, read, speak
from agents.models.transcript import Transcript
from vt_env import View, open_source

DATA = "generated:n=24000,split=train,kinds=laptop"
GROUPS, SIZE = 32, 8  # questions a step, rollouts of each


@dataclass
class Rollout:
    """One conversation in tokens."""

    said: Transcript
    own: list[bool] = field(default_factory=list)  # of each token: is it the policy's?
    views: list[View] = field(default_factory=list)
    sample_id: str = ""
    reward: float = 0.0


def sampler(vlm: VisionLanguageModel, rng: np.random.Generator):
    """A policy: rollouts that have read their prompts → the tokens that each says next."""

    def say(rollouts: list[Rollout]) -> list[list[int]]:
        stretches = [Stretch(r.said.ids, *vlm.positions(r.said.ids, r.views)) for r in rollouts]
        pictures = vlm.pictures([view for r in rollouts for view in r.views])
        memory, logits = read(vlm, None, stretches, pictures)
        after, draws = np.array([s.after for s in stretches]), rng.random((len(rollouts), 24))
        return speak(vlm, memory, logits, after, draws, temperature=1.0).ids

    return say


def play(env: gym.vector.VectorEnv, vlm: VisionLanguageModel, say) -> list[Rollout]:
    """All groups once; siblings share their views, so that each is encoded once."""
    observations, info = env.reset()
    rollouts = [Rollout(Transcript(messages)) for messages in info["messages"]]
    views: dict[int, View] = {}
    while info["active"].any():
        rows = [int(row) for row in np.flatnonzero(info["active"])]
        for row in rows:
            rollout, pixels = rollouts[row], observations["image"][row]
            rollout.sample_id, rollout.said.messages = info["sample_id"][row], info["messages"][row]
            if info["new_image"][row]:
                view = views.setdefault(id(pixels), View(Image.fromarray(pixels), "shown"))
                rollout.views.append(view)
            rollout.own += [False] * len(rollout.said.prompt(vlm, rollout.views))
        actions = [""] * len(rollouts)
        for row, ids in zip(rows, say([rollouts[row] for row in rows]), strict=True):
            actions[row] = vlm.decode(ids)
            rollouts[row].said.say(actions[row], ids)
            rollouts[row].own += [True] * len(ids)
        observations, rewards, _, _, info = env.step(actions)
        for rollout, reward in zip(rollouts, rewards, strict=True):
            rollout.reward += float(reward)
    return rollouts


def advantages_of(rollouts: list[Rollout], size: int) -> torch.Tensor:
    """Reward less the mean of the group's; 0 for the unscored, whose reward is NaN."""
    rewards = torch.tensor([r.reward for r in rollouts]).reshape(-1, size)
    return (rewards - rewards.nanmean(1, keepdim=True)).nan_to_num().flatten()


def log_prob(vlm: VisionLanguageModel, rollouts: list[Rollout]) -> torch.Tensor:
    """log π of each rollout's own tokens, added up: float32 [rollouts]."""
    width = max(len(r.own) for r in rollouts)
    ids = torch.zeros(len(rollouts), width, dtype=torch.int64)
    at, own = torch.zeros(3, *ids.shape, dtype=torch.int64), torch.zeros(ids.shape)
    for row, r in enumerate(rollouts):
        ids[row, : len(r.own)] = torch.tensor(r.said.ids)
        own[row, : len(r.own)] = torch.tensor(r.own).float()
        at[:, row, : len(r.own)] = torch.from_numpy(vlm.positions(r.said.ids, r.views)[0])
    pictures = vlm.pictures([view for r in rollouts for view in r.views])
    logits = vlm.logits(vlm.hidden(ids, at, pictures=pictures))[:, :-1]
    taken = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    return (taken * own[:, 1:]).sum(1)


def learn(path: str, steps: int, seed: int = 0, learning_rate: float = 1e-3):
    """Train; yields one line of numbers a step."""
    torch.set_num_threads(1)
    vlm, source = load_vlm(path), open_source(DATA)
    env = gym.make_vec(
        "vt_env:VisionThink-v0", num_envs=GROUPS * SIZE, group_size=SIZE, data=source,
        prompt="tiny", reward={"penalty": "rate"},
    )  # fmt: skip
    env.reset(seed=seed)
    vlm.model.model.visual.requires_grad_(False)
    weights = [p for p in vlm.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
    rise = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / 10))
    say = sampler(vlm, np.random.default_rng(seed))
    for step in range(1, steps + 1):
        rollouts = play(env, vlm, say)
        loss = -(advantages_of(rollouts, SIZE) * log_prob(vlm, rollouts)).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        rise.step()
        asked = defaultdict(list)
        for rollout in rollouts:
            asked[source.by_id(rollout.sample_id).kind].append(len(rollout.views) > 1)
        rates = {kind: round(float(np.mean(flags)), 3) for kind, flags in sorted(asked.items())}
        yield {
            "step": step,
            "reward": round(float(np.nanmean([r.reward for r in rollouts])), 3),
            **rates,
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for line in learn(arguments.checkpoint, arguments.steps, arguments.seed):
        print(json.dumps(line), flush=True)  # noqa: T201
