"""Heads that read a picture's attributes off its visual tokens, for the warm-up only.

Answers alone teach the vision encoder slowly: the loss rests for hundreds of steps until language
and vision have found each other. These heads ask it directly, and are thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from vt_env.samples import Sample
from vt_env.sources.drawing import COLOURS, CORNERS, NUMBER_SIZES, SHAPES, TEXTURES

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
