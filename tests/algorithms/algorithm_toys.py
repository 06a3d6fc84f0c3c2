"""Small batches and a small policy, to try algorithms on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainers.algorithms import ALGORITHMS, PPO, Algorithm, Batch, Targets

torch.set_num_threads(1)

NAMES = [name for name in ALGORITHMS.names() if name not in ("dtpo", "hdpo")]
"""Those with one reward channel; test_credit.py has the others."""
FIELDS = ("rewards", "mask", "old_log_probs", "ref_log_probs", "values", "truncated", "forced")


def random_batch(
    seed: int = 0, groups: int = 3, rollouts: int = 5, tokens: int = 8, **fields: Tensor | None
) -> Batch:
    """Every field set; rollouts of several lengths with environment tokens between; two unscored.

    float64. Group 1 has equal rewards. Rollout (0, 0) has padding in front.
    """
    rng = np.random.default_rng(seed)
    shape = (groups, rollouts, tokens)
    mask = rng.random(shape) < 0.7
    mask[..., 1] = True
    mask[0, 0, 0] = False
    rewards = rng.integers(0, 4, shape[:2]) / 3
    rewards[0, :2] = 0.0, 1.0
    rewards[0, -1] = rewards[-1, 1] = np.nan
    if groups > 1:
        rewards[1] = 0.3
    given: dict[str, Tensor | None] = {
        "rewards": torch.tensor(rewards),
        "mask": torch.tensor(mask),
        "old_log_probs": torch.tensor(-rng.exponential(1.0, shape)),
        "ref_log_probs": torch.tensor(-rng.exponential(1.0, shape)),
        "values": torch.tensor(rng.normal(size=shape)),
        "truncated": torch.tensor(rng.random(shape[:2]) < 0.2),
        "forced": torch.tensor(mask & (rng.random(shape) < 0.2)),
        "weight": torch.tensor(rng.uniform(0.5, 1.5, shape)),
        "tool": torch.tensor(np.where(rng.random(shape[:2]) < 0.2, np.nan, rng.random(shape[:2]))),
        "calling": torch.tensor(mask & (rng.random(shape) < 0.5)),
    }
    return Batch(**(given | fields))  # type: ignore[arg-type]


def moved(batch: Batch, seed: int = 1, size: float = 0.3) -> Tensor:
    """Log-probabilities of a policy that has moved on: float64 [G, R, T]."""
    rng = np.random.default_rng(seed)
    return batch.old_log_probs + size * torch.tensor(rng.normal(size=batch.mask.shape))


def gradient(
    algorithm: Algorithm, batch: Batch, log_probs: Tensor, size: int | None = None
) -> tuple[float, Tensor]:
    """Policy loss and its gradient [G, R, T]; with ``size``, accumulated over slices."""
    targets, _ = algorithm.targets(batch)
    leaf = log_probs.flatten(0, 1).clone().requires_grad_()
    total = 0.0
    for part in targets.split(size or len(targets)):
        loss, _ = algorithm.policy_loss(leaf[part.index], part)
        loss.backward()
        total += loss.item()
    assert leaf.grad is not None
    return total, leaf.grad.reshape(log_probs.shape)


class ToyPolicy:
    """A table of logits and one of values: question × position × last token.

    A reply has four tokens of its own out of five; position 2 holds a token of the environment.
    It is right as far as its tokens are those that the question asks for.
    """

    groups, rollouts, tokens, words = 4, 6, 5, 5

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        shape = (self.groups, self.tokens, self.words, self.words)
        self.logits = torch.tensor(0.5 * self.rng.normal(size=shape), requires_grad=True)
        self.table = torch.zeros(shape[:-1], dtype=torch.float64, requires_grad=True)
        self.reference = self.logits.detach().clone()
        self.replies = torch.zeros(self.groups, self.rollouts, self.tokens, dtype=torch.long)

    def before(self) -> Tensor:
        """The last token before each position: int64 [G, R, T]."""
        return torch.cat([torch.zeros_like(self.replies[..., :1]), self.replies[..., :-1]], -1)

    def look_up(self, table: Tensor) -> Tensor:
        """Entries of a table at each position of the replies."""
        group = torch.arange(self.groups)[:, None, None]
        return table[group, torch.arange(self.tokens), self.before()]

    def log_probs(self, logits: Tensor) -> Tensor:
        every = self.look_up(logits.log_softmax(-1))
        return every.gather(-1, self.replies.unsqueeze(-1)).squeeze(-1)

    def sample(self, step: int) -> Batch:
        """Replies by inversion from numpy's uniform numbers, the same on every machine."""
        self.replies = torch.zeros_like(self.replies)
        forced = torch.zeros(self.replies.shape, dtype=torch.bool)
        wanted = torch.arange(self.groups) % self.words
        for t in range(self.tokens):
            probabilities = self.look_up(self.logits.detach().softmax(-1))[:, :, t]
            uniform = torch.tensor(self.rng.random((self.groups, self.rollouts, 1)))
            drawn = (probabilities.cumsum(-1) < uniform).sum(-1).clamp(max=self.words - 1)
            self.replies[..., t] = drawn if t != 2 else 0
        if step % 2 == 0:
            self.replies[:, 0, 0], forced[:, 0, 0] = wanted, True
        mask = torch.ones(self.replies.shape, dtype=torch.bool)
        mask[..., 2] = False
        mask[:, 1::2, -1] = False
        right = (self.replies == wanted[:, None, None]) & mask
        rewards = right.sum(-1).double() / mask.sum(-1)
        rewards[step % self.groups, -1] = torch.nan
        with torch.no_grad():
            return Batch(
                rewards=rewards,
                mask=mask,
                old_log_probs=self.log_probs(self.logits),
                ref_log_probs=self.log_probs(self.reference),
                values=self.look_up(self.table),
                truncated=torch.tensor(self.rng.random((self.groups, self.rollouts)) < 0.05),
                forced=forced,
            )

    def losses(self, algorithm: Algorithm, part: Targets) -> Tensor:
        """Policy loss, and value loss where there is a critic."""
        loss, _ = algorithm.policy_loss(self.log_probs(self.logits).flatten(0, 1)[part.index], part)
        if isinstance(algorithm, PPO):
            values = self.look_up(self.table).flatten(0, 1)[part.index]
            loss = loss + algorithm.value_loss(values, part)[0]
        return loss


def trajectory(algorithm: Algorithm, steps: int = 50, rate: float = 0.5) -> dict[str, list[float]]:
    """Plain gradient descent, two passes over two mini-batches a step, each in two slices.

    Returns:
        Per step: mean reward, sum of the losses, norm of the logits' change; at the end, the
        logits of question 0 at position 0.
    """
    policy = ToyPolicy(seed=7)
    start = policy.logits.detach().clone()
    rows: dict[str, list[float]] = {"reward": [], "loss": [], "moved": []}
    for step in range(steps):
        targets, metrics = algorithm.targets(policy.sample(step))
        total = 0.0
        for _ in range(2):
            for minibatch in algorithm.minibatches(targets, 2):
                for part in minibatch.split(5):
                    loss = policy.losses(algorithm, part)
                    loss.backward()
                    total += loss.item()
                for table in (policy.logits, policy.table):
                    if table.grad is not None:
                        with torch.no_grad():
                            table -= rate * table.grad
                        table.grad = None
        rows["reward"].append(metrics["reward_mean"])
        rows["loss"].append(total)
        rows["moved"].append((policy.logits.detach() - start).norm().item())
    rows["logits"] = policy.logits.detach()[0, 0, 0].tolist()
    return rows
