"""Learning from a step's episodes.

Legend: G groups, R rollouts a group, T generated tokens; N rollouts of a slice. Everything stands
at generated tokens only: prompts, pictures and the tool's words are never trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from agents import Episode
from agents.models import Scores, TokenBatch, collate
from agents.models.vlm import Features
from trainers.algorithms import PPO, Algorithm, Batch, Targets, merge_metrics
from trainers.algorithms.metrics import PartMetrics
from trainers.config import TrainConfig
from trainers.errors import NotFinite
from trainers.local.policy import Policy, SharedFeatures
from trainers.metrics import LOGGED_ELSEWHERE, Numbers
from vt_env.actions import calls

_GOLDEN = 0x9E3779B97F4A7C15
"""2^64 over the golden ratio: times a run's seed, it leaves room for its steps."""
_DECAYS: Mapping[str, Callable[[float], float]] = {
    "none": lambda done: 1.0,
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: 0.5 * (1.0 + math.cos(math.pi * done)),
}
"""The learning rate's share of its peak, by the share of the run that is done."""


class Learner:
    """Holds the optimiser.

    Attributes:
        optimiser: AdamW over what is trained.
        updates: Optimiser steps taken.
    """

    def __init__(self, policy: Policy, algorithm: Algorithm, config: TrainConfig) -> None:
        self.policy = policy
        self.algorithm = algorithm
        self.config = config
        self.parameters = policy.parameters()
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=config.optimiser.learning_rate,
            betas=config.optimiser.betas,
            weight_decay=config.optimiser.weight_decay,
        )
        self.updates = 0

    def load_state(self, state: dict[str, Any]) -> None:
        """Put the optimiser's state back; its settings are the recipe's, which may have changed."""
        self.optimiser.load_state_dict(state)
        settings = self.config.optimiser
        for group in self.optimiser.param_groups:
            group |= {"betas": settings.betas, "weight_decay": settings.weight_decay}

    def learn(self, episodes: Sequence[Episode], step: int) -> Numbers:
        """Take a step's updates.

        Args:
            episodes: Group by group.
            step: Its number; with the run's seed it seeds the shuffling.

        Returns:
            Numbers for the log, in the family ``train``.

        Raises:
            NotFinite: If the loss or a gradient is NaN or infinite; that update is not taken.
        """
        lesson = Lesson(self.policy, episodes, self.config)
        batch, entropy, drift = lesson.batch()
        targets, described = self.algorithm.targets(batch)
        generator = torch.Generator().manual_seed((self.config.seed * _GOLDEN + step) % 2**63)
        settings = self.config.optimiser
        parts: list[PartMetrics] = []
        norms: list[float] = []
        for _ in range(settings.epochs):
            for minibatch in self.algorithm.minibatches(targets, settings.minibatches, generator):
                made, norm = self._update(lesson, minibatch, step)
                parts += made
                norms.append(norm)
        metrics: Numbers = {**described, **merge_metrics(parts)}
        for name in LOGGED_ELSEWHERE:
            metrics.pop(name, None)
        for name in ("policy_loss", "value_loss"):
            if (total := metrics.get(name)) is not None:
                metrics[name] = total / max(1, len(norms))
        metrics |= {
            "entropy": entropy,
            "sampler_drift": drift,
            "grad_norm": sum(norms) / len(norms) if norms else 0.0,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "updates": self.updates,
        }
        return {f"train/{name}": value for name, value in metrics.items()}

    def _rate(self, step: int) -> float:
        """The learning rate of the coming update."""
        settings = self.config.optimiser
        rise = min(1.0, (self.updates + 1) / max(1, settings.warmup_steps))
        return (
            settings.learning_rate * rise * _DECAYS[settings.decay]((step - 1) / self.config.steps)
        )

    def _update(
        self, lesson: Lesson, minibatch: Targets, step: int
    ) -> tuple[list[PartMetrics], float]:
        """One optimiser step, its gradient gathered over slices."""
        self.optimiser.zero_grad()
        made: list[PartMetrics] = []
        for part in minibatch.split(self.config.optimiser.microbatch):
            loss, metrics = self._loss(lesson, part)
            if not torch.isfinite(loss):
                raise NotFinite(f"step {step}: the loss is {loss.item()}")
            loss.backward()
            made.append(metrics)
        norm = torch.nn.utils.clip_grad_norm_(
            self.parameters, self.config.optimiser.max_grad_norm
        ).item()
        if not math.isfinite(norm):
            raise NotFinite(f"step {step}: the gradient's norm is {norm}")
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate(step)
        self.optimiser.step()
        self.updates += 1
        return made, norm

    def _loss(self, lesson: Lesson, part: Targets) -> tuple[Tensor, PartMetrics]:
        scores, values = lesson.scores(part.index)
        width = part.mask.shape[-1]
        loss, metrics = self.algorithm.policy_loss(_widened(scores.log_probs, width), part)
        if bonus := self.config.algorithm.entropy:
            loss = loss - bonus * (part.weights * _widened(scores.entropy, width)).sum()
        if values is not None and isinstance(self.algorithm, PPO):
            value_loss, more = self.algorithm.value_loss(_widened(values, width), part)
            loss, metrics = loss + value_loss, {**metrics, **more}
        return loss, metrics


class Lesson:
    """A step's episodes, as the policy sees them.

    Attributes:
        one_pass: Whether there is a single update, from a single pass over all episodes: then the
            pass that :meth:`batch` makes for the old log-probabilities is the one to learn from.
    """

    def __init__(self, policy: Policy, episodes: Sequence[Episode], config: TrainConfig) -> None:
        self.policy = policy
        self.episodes = episodes
        self.temperature = config.rollout.temperature
        self.group_size = config.rollout.group_size
        self.channel = config.reward.tool != "none"
        settings = config.optimiser
        self.microbatch = settings.microbatch
        self.one_pass = (
            settings.epochs == settings.minibatches == 1 and len(episodes) <= settings.microbatch
        )
        self._passed: tuple[Scores, Tensor | None] | None = None
        self.shared = None
        if not policy.vision_is_trained:
            self.shared = SharedFeatures(policy, [v for e in episodes for v in e.views])

    def tokens(self, rows: Sequence[int]) -> TokenBatch:
        """Some of the episodes as tensors."""
        return collate(self.policy.vlm, [self.episodes[row] for row in rows])

    def scores(self, rows: Tensor) -> tuple[Scores, Tensor | None]:
        """What the policy makes of some of the episodes, and the critic; gradients flow."""
        if self._passed is None:
            tokens = self.tokens(rows.tolist())
            return self.policy.score(tokens, self.temperature, self._features(tokens))
        (whole, values), self._passed = self._passed, None
        some = Scores(whole.log_probs[rows], whole.entropy[rows], whole.hidden[rows])
        return some, None if values is None else values[rows]

    def _features(self, tokens: TokenBatch) -> Features | None:
        """Those that do not change, of what the tokens show."""
        return self.shared.of(tokens.views) if self.shared else None

    @torch.no_grad()
    def batch(self) -> tuple[Batch, float, float]:
        """All that an algorithm needs to know before the first update.

        Returns:
            The batch; the mean entropy of the policy's own tokens in nats; and the largest
            difference between a token's log-probability when it was sampled and now, which says
            whether sampling and training agree.
        """
        parts = [
            self._part(range(begin, min(begin + self.microbatch, len(self.episodes))))
            for begin in range(0, len(self.episodes), self.microbatch)
        ]
        width = max(part["mask"].shape[-1] for part in parts)
        joined = {
            name: torch.cat([_widened(part[name], width) for part in parts]) for name in parts[0]
        }
        own = joined["mask"] & ~joined["forced"]
        entropy = joined.pop("entropy")[own].mean().item()
        drift = joined.pop("drift").abs().max().item()
        grouped = {k: v.unflatten(0, (-1, self.group_size)) for k, v in joined.items()}
        rewards = [math.nan if e.reward.total is None else e.reward.total for e in self.episodes]
        truncated = [any(reply.truncated for reply in e.replies) for e in self.episodes]
        device = self.policy.vlm.device
        if self.channel:
            told = [math.nan if e.reward.tool is None else e.reward.tool for e in self.episodes]
            grouped["tool"] = torch.tensor(told, device=device).view(-1, self.group_size)
        batch = Batch(
            rewards=torch.tensor(rewards, device=device).view(-1, self.group_size),
            truncated=torch.tensor(truncated, device=device).view(-1, self.group_size),
            **grouped,
        )
        return batch, entropy, drift

    def _part(self, rows: range) -> dict[str, Tensor]:
        tokens = self.tokens(rows)
        features = self._features(tokens)
        with torch.set_grad_enabled(self.one_pass):
            scores, values = self.policy.score(tokens, self.temperature, features)
        if self.one_pass:
            self._passed = scores, values
        reference = self.policy.reference_log_probs(tokens, self.temperature, features)
        made = {
            "mask": tokens.mask,
            "forced": tokens.forced,
            "old_log_probs": scores.log_probs,
            "entropy": scores.entropy,
            "drift": scores.log_probs - tokens.old_log_probs,
            "ref_log_probs": reference,
            "values": values,
            "calling": self._calling(tokens, rows) if self.channel else None,
        }
        return {name: tensor.detach() for name, tensor in made.items() if tensor is not None}

    def _calling(self, tokens: TokenBatch, rows: range) -> Tensor:
        """Tokens of turns that call: bool [N, t]."""
        turns = [[calls(action) for action in self.episodes[row].actions] for row in rows]
        width = max(map(len, turns))
        table = torch.tensor([[*mine, *[False] * (width - len(mine))] for mine in turns])
        return table.to(tokens.turn.device).gather(1, tokens.turn) & tokens.mask


def _widened(tensor: Tensor, width: int) -> Tensor:
    """[N, t] to [N, width], with 0 or False at the end."""
    return pad(tensor, (0, width - tensor.shape[-1]))
