"""Every algorithm again, in plain loops over numbers: slow, and easy to check against the papers.

Only the gradient comes from torch. Hyper-parameters are those of the catalogue, written out.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.algorithms import Batch

Key = tuple[int, int, int]


@dataclass
class Rules:
    low: float = 0.2
    high: float = 0.2
    average: str = "token"
    kl_loss: float = 0.0
    kl_kind: str = "k3"
    drop: bool = False
    cut: bool = False


RULES = {
    "ppo": Rules(),
    "grpo": Rules(average="sequence", kl_loss=0.04),
    "dr_grpo": Rules(average="rollouts × 1024"),
    "rloo": Rules(average="rollouts × 1"),
    "reinforce++": Rules(),
    "reinforce++-baseline": Rules(kl_loss=0.1, kl_kind="k2"),
    "dapo": Rules(high=0.28, drop=True, cut=True),
    "gspo": Rules(low=3e-4, high=4e-4, average="sequence"),
}
KL_IN_REWARD = {"ppo": 0.1, "rloo": 0.1, "reinforce++": 0.1}
SPECS = {
    "ppo": "ppo:kl_coef=0.1",
    "rloo": "rloo:kl_coef=0.1",
    "reinforce++": "reinforce++:kl_coef=0.1",
    "reinforce++-baseline": "reinforce++-baseline:kl_coef=0.1",
}


def own_tokens(batch: Batch, g: int, r: int) -> list[int]:
    return [t for t in range(batch.mask.shape[2]) if batch.mask[g, r, t]]


def scored_rollouts(batch: Batch, g: int) -> list[int]:
    rewards = batch.rewards[g].tolist()
    return [r for r, x in enumerate(rewards) if not math.isnan(x) and own_tokens(batch, g, r)]


def log_ratio_to_reference(batch: Batch, key: Key) -> float:
    assert batch.ref_log_probs is not None
    return (batch.old_log_probs[key] - batch.ref_log_probs[key]).item()


def group_scores(name: str, batch: Batch, g: int) -> dict[int, float]:
    beta = KL_IN_REWARD.get(name, 0.0) if name == "rloo" else 0.0
    return {
        r: batch.rewards[g, r].item()
        - beta * sum(log_ratio_to_reference(batch, (g, r, t)) for t in own_tokens(batch, g, r))
        for r in scored_rollouts(batch, g)
    }


def group_advantages(name: str, batch: Batch) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for g in range(batch.mask.shape[0]):
        scores = group_scores(name, batch, g)
        equal = len(scores) < 2 or max(scores.values()) - min(scores.values()) < 1e-6
        for r, score in scores.items():
            others = [s for other, s in scores.items() if other != r]
            if equal:
                advantage = 0.0
            elif name == "rloo":
                advantage = score - statistics.mean(others)
            else:
                advantage = score - statistics.mean(scores.values())
                if name in ("grpo", "dapo", "gspo"):
                    advantage /= statistics.stdev(scores.values()) + 1e-6
            found |= {(g, r, t): advantage for t in own_tokens(batch, g, r)}
    return found


def whiten(advantages: dict[Key, float]) -> dict[Key, float]:
    mean = statistics.mean(advantages.values())
    deviation = statistics.stdev(advantages.values())
    return {k: (a - mean) / (deviation + 1e-6) for k, a in advantages.items()}


def global_advantages(batch: Batch) -> dict[Key, float]:
    found: dict[Key, float] = {}
    for g in range(batch.mask.shape[0]):
        for r in scored_rollouts(batch, g):
            for t in own_tokens(batch, g, r):
                to_come = sum(
                    log_ratio_to_reference(batch, (g, r, u))
                    for u in own_tokens(batch, g, r)
                    if u >= t
                )
                found[g, r, t] = batch.rewards[g, r].item() - 0.1 * to_come
    return whiten(found)


def gae_advantages(batch: Batch, discount: float = 1.0, decay: float = 0.95) -> dict[Key, float]:
    """The definition: a sum over all later tokens of (γλ)^k δ."""
    assert batch.values is not None
    found: dict[Key, float] = {}
    for g in range(batch.mask.shape[0]):
        for r in scored_rollouts(batch, g):
            tokens = own_tokens(batch, g, r)
            values = [batch.values[g, r, t].item() for t in tokens] + [0.0]
            rewards = [-0.1 * log_ratio_to_reference(batch, (g, r, t)) for t in tokens]
            rewards[-1] += batch.rewards[g, r].item()
            deltas = [rewards[i] + discount * values[i + 1] - values[i] for i in range(len(tokens))]
            for i, t in enumerate(tokens):
                found[g, r, t] = sum(
                    (discount * decay) ** (j - i) * deltas[j] for j in range(i, len(tokens))
                )
    return found


def advantages(name: str, batch: Batch) -> dict[Key, float]:
    if name == "ppo":
        return whiten(gae_advantages(batch))
    if name == "reinforce++":
        return global_advantages(batch)
    found = group_advantages(name, batch)
    return whiten(found) if name == "reinforce++-baseline" else found


def trained_tokens(name: str, batch: Batch, advantage: dict[Key, float]) -> list[Key]:
    rules, kept = RULES[name], []
    assert batch.truncated is not None
    assert batch.forced is not None
    for g, r, t in advantage:
        rewards = [batch.rewards[g, i].item() for i in scored_rollouts(batch, g)]
        if rules.drop and max(rewards) - min(rewards) < 1e-6:
            continue
        if rules.cut and batch.truncated[g, r]:
            continue
        if batch.forced[g, r, t] and not advantage[g, r, t] > 0:
            continue
        kept.append((g, r, t))
    return kept


def divisor(name: str, key: Key, kept: list[Key]) -> float:
    """What the loss of one token is divided by."""
    rollouts = {(g, r) for g, r, _ in kept}
    average = RULES[name].average
    if average == "token":
        return len(kept)
    if average == "sequence":
        return len(rollouts) * sum(k[:2] == key[:2] for k in kept)
    return len(rollouts) * float(average.split()[-1])


def loss(name: str, batch: Batch, log_probs: Tensor) -> Tensor:
    """The policy loss with a gradient to ``log_probs``, float64 [G, R, T]."""
    rules, advantage = RULES[name], advantages(name, batch)
    kept = trained_tokens(name, batch, advantage)
    total = torch.zeros((), dtype=torch.float64)
    for key in kept:
        ratio = torch.exp(log_probs[key] - batch.old_log_probs[key])
        if name == "gspo":
            reply = [k for k in kept if k[:2] == key[:2]]
            change = torch.stack([log_probs[k] - batch.old_log_probs[k] for k in reply])
            ratio = torch.exp(change.sum() / len(reply))
        a = advantage[key]
        bounded = torch.clamp(ratio, 1 - rules.low, 1 + rules.high)
        term = -torch.minimum(ratio * a, bounded * a)
        if rules.kl_loss:
            assert batch.ref_log_probs is not None
            d = log_probs[key] - batch.ref_log_probs[key]
            estimate = d**2 / 2 if rules.kl_kind == "k2" else torch.exp(-d) - 1 + d
            term = term + rules.kl_loss * estimate
        weight = 1.0 if batch.weight is None else batch.weight[key].item()
        total = total + weight * term / divisor(name, key, kept)
    return total
