"""The warm-up: supervised learning of the format and of reading, before any reinforcement.

Afterwards the policy answers well from the original, as well as the half-size picture allows
without it, and asks for the original half of the time whatever the question: nothing in its
lessons says when to ask (see :mod:`agents.tiny.lessons`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from agents.models.vlm import VisionLanguageModel
from agents.tiny.checkpoint import TinyConfig, make_vlm, save
from agents.tiny.heads import AttributeHeads, labels
from agents.tiny.lessons import QUESTIONS, Form, LessonBatch, Teacher
from vt_env.errors import ConfigError
from vt_env.samples import Sample
from vt_env.sources.generated import GeneratedSource

Progress = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True, slots=True)
class WarmupConfig:
    """Settings of the warm-up.

    Attributes:
        steps: Steps of the optimizer.
        batch: Pictures a step; every picture is seen once.
        questions: Questions about each picture, 1 to 5.
        request_share: Share of requests among the lessons that begin with a half-size picture.
        full_share: Share of lessons that begin with the original.
        learning_rate: Its peak; it rises over 40 steps and falls along a cosine to 2 %.
        weight_decay: Of AdamW.
        head_weight: Weight of the attribute heads' loss, 0 for none.
        kinds: Mix of the generated source. Its kinds bear on how often a number is small; every
            picture is asked about in all ways.
        model: Sizes.

    Raises:
        ConfigError: On a value out of range.
    """

    steps: int = 1000
    batch: int = 32
    questions: int = 5
    request_share: float = 0.5
    full_share: float = 0.1
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    head_weight: float = 1.0
    kinds: str = "laptop"
    model: TinyConfig = field(default_factory=TinyConfig)

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1 or not 1 <= self.questions <= len(QUESTIONS):
            raise ConfigError(
                f"steps and batch must be at least 1 and questions between 1 and {len(QUESTIONS)}"
            )
        for name in ("request_share", "full_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


def warm_up(
    config: WarmupConfig | None = None,
    folder: str | Path = "runs/tiny",
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Train a fresh model and write its checkpoint.

    Args:
        config: Settings.
        folder: Where the checkpoint goes.
        seed: Of the first weights, the pictures and the lessons. The same seed, number of threads
            and versions give the same checkpoint.
        progress: Called after every step with ``step``, ``loss`` (of the said tokens, in nats),
            ``head_loss`` and ``learning_rate``.

    Returns:
        ``loss`` and ``head_loss``, means over the last tenth of the steps, ``cpu_seconds``, and
        ``tokens``, the number read.
    """
    config = config or WarmupConfig()
    begun = time.process_time()
    vlm, heads = make_vlm(config.model, seed), _seeded_heads(config, seed)
    trained = [*vlm.model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(trained, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    vlm.model.train()
    losses: list[tuple[float, float]] = []
    tokens = 0
    for step, (samples, lessons) in enumerate(_stream(config, Teacher(vlm), seed)):
        rate = config.learning_rate * _schedule(step, config.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        said, head = _losses(vlm, heads, samples, lessons)
        optimizer.zero_grad()
        (said + config.head_weight * head).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        row = {"step": step + 1, "loss": said.item(), "head_loss": head.item()}
        losses.append((row["loss"], row["head_loss"]))
        tokens += lessons.ids.numel()
        if progress is not None:
            progress({**row, "learning_rate": rate})
    vlm.model.eval()
    save(vlm, folder)
    loss, head_loss = np.mean(losses[-max(1, config.steps // 10) :], axis=0).tolist()
    seconds = time.process_time() - begun
    return {"loss": loss, "head_loss": head_loss, "cpu_seconds": seconds, "tokens": tokens}


def _seeded_heads(config: WarmupConfig, seed: int) -> AttributeHeads:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AttributeHeads(config.model.width)


def _schedule(step: int, steps: int) -> float:
    """The learning rate's share of its peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / 40) * (0.02 + 0.98 * cosine)


def _stream(
    config: WarmupConfig, teacher: Teacher, seed: int
) -> Iterator[tuple[list[Sample], LessonBatch]]:
    """Pictures of the training split and lessons about them, one batch a step."""
    source = GeneratedSource(
        config.steps * config.batch, seed=seed, split="train", kinds=config.kinds
    )
    rng = np.random.default_rng([seed, 1])
    shares = {
        "full": config.full_share,
        "request": (1 - config.full_share) * config.request_share,
        "direct": (1 - config.full_share) * (1 - config.request_share),
    }
    names: list[Form] = ["full", "request", "direct"]
    for begin in range(0, len(source), config.batch):
        samples = [source[index] for index in range(begin, begin + config.batch)]
        chosen = rng.choice(len(names), config.batch, p=[shares[name] for name in names])
        orders = [rng.permutation(len(QUESTIONS))[: config.questions].tolist() for _ in samples]
        yield samples, teacher.lessons(samples, [names[i] for i in chosen], orders)


def _losses(
    vlm: VisionLanguageModel,
    heads: AttributeHeads,
    samples: list[Sample],
    lessons: LessonBatch,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of what the policy says, and that of the heads."""
    features = vlm.features([*lessons.half, *lessons.full])
    hidden = vlm.hidden(lessons.ids, lessons.positions, pictures=features.gather(lessons.shown))
    said = lessons.said[:, 1:]
    loss = functional.cross_entropy(vlm.logits(hidden[:, :-1][said]), lessons.ids[:, 1:][said])
    truth, number = labels(samples), len(samples)
    middle = features.starts[number]
    half = features.values[:middle].unflatten(0, (number, -1))
    full = features.values[middle:].unflatten(0, (number, -1))
    return loss, 0.4 * heads(half, truth) + 0.6 * heads(full, truth)
