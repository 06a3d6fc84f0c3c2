"""The warm-up: supervised learning of seeing and speaking, before any reinforcement.

First the vision encoder alone learns to see, from heads that read attributes off its visual tokens
(:class:`AttributeHeads`); then, with the encoder as it is, the language model learns to answer and
to ask. Learning both at once is slower and less sure: until the answers have found the pictures,
neither teaches the other.

Afterwards the policy answers well from the original, as well as the half-size picture allows
without it, and asks for the original half of the time whatever the question: nothing in its
lessons says when to ask (see :mod:`agents.tiny.lessons`). Where it does not answer well yet, which
depends on the seed and on how a processor rounds, it goes on with new lessons.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import Parameter, functional

from agents.models.vlm import VisionLanguageModel
from agents.tiny.checkpoint import TinyConfig, make_vlm, save
from agents.tiny.lessons import QUESTIONS, Form, Teacher
from agents.tiny.measure import Pictures, reading
from agents.tiny.teaching import collate
from vt_env.errors import ConfigError, VisionThinkError, unknown_name
from vt_env.pictures import Picture
from vt_env.samples import Sample
from vt_env.sources.drawing import COLOURS, CORNERS, NUMBER_SIZES, SHAPES, TEXTURES
from vt_env.sources.generated import KINDS, GeneratedSource

_DIGITS = tuple("0123456789")
CLASSES: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "corner": CORNERS,
    "first_digit": _DIGITS,
    "second_digit": _DIGITS,
    "texture": TEXTURES,
    "number_size": NUMBER_SIZES,
}


def labels(samples: Sequence[Sample]) -> torch.Tensor:
    """The attributes of some pictures: int64 [pictures, attributes]."""
    rows = []
    for sample in samples:
        values = dict(sample.metadata)
        values["first_digit"], values["second_digit"] = values["number"]
        rows.append([known.index(values[name]) for name, known in CLASSES.items()])
    return torch.tensor(rows)


class WarmupError(VisionThinkError):
    """A warm-up did not reach what it has to."""


class AttributeHeads(nn.Module):
    """For each attribute, a classifier of every visual token, and weights to average them with.

    Args:
        width: Of a visual token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, sum(map(len, CLASSES.values())))
        self.weigh = nn.Linear(width, len(CLASSES))

    def forward(self, tokens: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy over the attributes, in nats.

        Args:
            tokens: Visual tokens of pictures of one size: float [pictures, tokens, width].
            truth: See :func:`labels`.
        """
        weights = self.weigh(tokens).softmax(1)
        scores = self.classify(tokens).split([len(known) for known in CLASSES.values()], -1)
        losses = [
            functional.cross_entropy((score * weights[..., i : i + 1]).sum(1), truth[:, i])
            for i, score in enumerate(scores)
        ]
        return torch.stack(losses).mean()


Progress = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True, slots=True)
class WarmupConfig:
    """Settings of the warm-up.

    Attributes:
        vision_steps: Steps of the optimizer in which the vision encoder learns to see.
        vision_batch: Pictures in each of them, each at both resolutions.
        steps: Steps in which the language model learns to speak, in each round.
        rounds: Rounds at most; after each, what it reads is measured.
        reading: It ends with the round after which so many validation pictures are answered right
            from the original, both at once and after a request; 0 ends after the first round.
        batch: Pictures in each of those; no picture is seen twice.
        questions: Questions about each picture, 1 to 5.
        about: Kinds whose questions are asked, joined by ``+``; empty for all.
        request_share: Share of requests among the lessons that begin with a half-size picture.
        full_share: Share of lessons that begin with the original.
        learning_rate: Of both; it rises over 40 steps, stays, and falls along a line to 0 over
            the last three tenths. (Falling all the time, along a cosine, learns less.)
        weight_decay: Of AdamW.
        kinds: Mix of the generated source. Its kinds bear on how often a number is small; every
            picture is asked about in all ways.
        model: Sizes.

    Raises:
        ConfigError: On a value out of range.
    """

    vision_steps: int = 350
    vision_batch: int = 64
    steps: int = 900
    rounds: int = 5
    reading: float = 0.95
    batch: int = 32
    questions: int = 5
    about: str = ""
    request_share: float = 0.5
    full_share: float = 0.1
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    kinds: str = "laptop"
    model: TinyConfig = field(default_factory=TinyConfig)

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.vision_steps, self.vision_batch, self.rounds) < 1:
            raise ConfigError("steps, batches and rounds must be at least 1")
        if not 1 <= self.questions <= len(QUESTIONS):
            raise ConfigError(
                f"questions must be between 1 and {len(QUESTIONS)}, got {self.questions}"
            )
        for kind in filter(None, self.about.split("+")):
            if kind not in KINDS:
                raise unknown_name("kind", kind, KINDS)
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("request_share", "full_share", "reading"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

    @property
    def asked(self) -> list[int]:
        """Which of ``QUESTIONS`` are asked."""
        wanted = {KINDS[kind].question for kind in filter(None, self.about.split("+"))}
        return [i for i, k in enumerate(QUESTIONS) if not wanted or k.question in wanted]

    @classmethod
    def cut(cls, steps: int | None) -> WarmupConfig:
        """So many steps in each part, whatever is read then; ``None``: the defaults."""
        return cls() if steps is None else cls(vision_steps=steps, steps=steps, reading=0.0)

    @property
    def total_steps(self) -> int:
        """Steps of both parts, if the first round is enough."""
        return self.vision_steps + self.steps


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
        progress: Called after every step with ``step`` and the step's loss in nats: ``head_loss``
            while the encoder learns to see, then ``loss``, of the said tokens.

    Returns:
        ``head_loss`` and ``loss``, means over the last tenth of a part's steps, ``rounds`` that
        were needed, and ``cpu_seconds``.

    Raises:
        WarmupError: If ``reading`` is not reached within the rounds; nothing is written.
    """
    config = config or WarmupConfig()
    begun = time.process_time()
    vlm, heads = make_vlm(config.model, seed), _seeded_heads(config, seed)
    vision = vlm.model.model.visual
    seen: dict[str, list[float]] = {"head_loss": [], "loss": []}

    def learn(name: str, parameters: list[Parameter], losses: Iterator[Tensor], steps: int) -> None:
        for loss in _descend(parameters, losses, steps, config):
            seen[name].append(loss)
            if progress is not None:
                progress({"step": sum(map(len, seen.values())), name: loss})

    vlm.model.train()
    seeing = [*vision.parameters(), *heads.parameters()]
    learn("head_loss", seeing, _seeing(config, vlm, heads, seed), config.vision_steps)
    vision.requires_grad_(False)
    speaking = [p for p in vlm.model.parameters() if p.requires_grad]
    read, number = -1.0, 0
    while read < config.reading and number < config.rounds:
        learn("loss", speaking, _speaking(config, vlm, seed, number), config.steps)
        read, number = _reading(config, vlm, seed), number + 1
    if read < config.reading:
        raise WarmupError(
            f"after {config.rounds} rounds of {config.steps} steps {read:.3f} of the validation "
            f"pictures are read right, less than {config.reading:g}; try another seed, or more "
            "rounds or vision_steps"
        )
    vlm.model.requires_grad_(True).eval()
    save(vlm, folder)
    last = {
        "head_loss": _end(seen["head_loss"], config.vision_steps),
        "loss": _end(seen["loss"], config.steps),
    }
    return {**last, "rounds": number, "cpu_seconds": time.process_time() - begun}


def _end(losses: Sequence[float], steps: int) -> float:
    """The mean of the last tenth of so many steps."""
    return float(np.mean(losses[-max(1, steps // 10) :]))


def _reading(config: WarmupConfig, vlm: VisionLanguageModel, seed: int) -> float:
    """The lesser share of validation pictures that is right, at once and after a request."""
    if not config.reading:
        return 0.0
    vlm.model.eval()
    read = min(reading(vlm, Pictures(n=400, seed=seed, kinds=config.kinds)).values())
    vlm.model.train()
    return read


def _descend(
    parameters: list[Parameter], losses: Iterator[Tensor], steps: int, config: WarmupConfig
) -> Iterator[float]:
    """Take a step of the optimizer for each loss; the losses' values."""
    rule = torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    for step, loss in enumerate(losses):
        for group in rule.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, steps)
        rule.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        rule.step()
        yield loss.item()


def _schedule(step: int, steps: int) -> float:
    """The learning rate's share of its peak."""
    return min(1.0, (step + 1) / 40, (steps - step) / (0.3 * steps))


def _seeded_heads(config: WarmupConfig, seed: int) -> AttributeHeads:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AttributeHeads(config.model.width)


def _pictures(config: WarmupConfig, seed: int, number: int | None = None) -> Iterator[list[Sample]]:
    """Batches of the training split: the first pictures are seen, then each round has its own.

    Args:
        config: Settings.
        seed: Of the pictures.
        number: Of the round; ``None`` for those that are seen.
    """
    begin, batch, steps = 0, config.vision_batch, config.vision_steps
    if number is not None:
        begin, batch, steps = batch * steps, config.batch, config.steps
        begin += number * batch * steps
    end = begin + batch * steps
    source = GeneratedSource(end, seed=seed, split="train", kinds=config.kinds)
    for first in range(begin, end, batch):
        yield [source[index] for index in range(first, first + batch)]


def _seeing(
    config: WarmupConfig, vlm: VisionLanguageModel, heads: AttributeHeads, seed: int
) -> Iterator[Tensor]:
    """For each batch the heads' loss, the original weighing a little more than the half size."""
    for samples in _pictures(config, seed):
        pictures = [Picture(sample.image) for sample in samples]
        views = [*(p.shrunk(0.5) for p in pictures), *(p.original for p in pictures)]
        features = vlm.features(views)
        middle, truth = features.starts[len(samples)], labels(samples)
        half = features.values[:middle].unflatten(0, (len(samples), -1))
        full = features.values[middle:].unflatten(0, (len(samples), -1))
        yield 0.4 * heads(half, truth) + 0.6 * heads(full, truth)


def _speaking(
    config: WarmupConfig, vlm: VisionLanguageModel, seed: int, number: int
) -> Iterator[Tensor]:
    """For each batch of a round the cross-entropy of what the policy says in its lessons."""
    teacher, rng = Teacher(vlm), np.random.default_rng([seed, number + 1])
    shares: dict[Form, float] = {
        "full": config.full_share,
        "request": (1 - config.full_share) * config.request_share,
        "direct": (1 - config.full_share) * (1 - config.request_share),
    }
    forms = list(shares)
    for samples in _pictures(config, seed, number):
        chosen = rng.choice(len(forms), len(samples), p=list(shares.values()))
        orders = [rng.permutation(config.asked)[: config.questions].tolist() for _ in samples]
        lessons, views = zip(
            *(
                teacher.lesson(sample, forms[form], order)
                for sample, form, order in zip(samples, chosen, orders, strict=True)
            ),
            strict=True,
        )
        batch = collate(vlm, lessons, views)
        every = [view for pair in views for view in pair]
        pictures = vlm.pictures([every[view] for view in batch.shown])
        hidden = vlm.hidden(batch.ids, batch.positions, pictures=pictures)
        said = batch.weights[:, 1:] > 0
        yield functional.cross_entropy(vlm.logits(hidden[:, :-1][said]), batch.ids[:, 1:][said])
