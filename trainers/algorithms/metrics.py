"""Numbers for the log, and how those of slices become those of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

Metrics = dict[str, float]
PartMetrics = dict[str, Tensor]
"""Detached scalars still on the device, so that a slice costs no synchronisation."""


def mean_over(tensor: Tensor, mask: Tensor) -> Tensor:
    """Mean of the entries in ``mask``; 0 where there is none."""
    return torch.where(mask, tensor, 0).sum() / mask.sum().clamp(min=1)


def deviation_over(tensor: Tensor, mask: Tensor) -> Tensor:
    """Standard deviation (sample) of the entries in ``mask``; 0 where there are fewer than two."""
    chosen = tensor[mask]
    return chosen.std() if chosen.numel() > 1 else torch.zeros((), device=tensor.device)


def merge_metrics(parts: Iterable[Mapping[str, Tensor]]) -> Metrics:
    """The metrics of a whole from those of its slices, all from the same loss.

    ``…loss`` and ``…tokens`` add up, ``…_max`` is the largest, and all others are means over the
    tokens that their own loss counts: ``value_…`` over ``value_tokens``, the rest over ``tokens``.
    Over the mini-batches of several passes, losses add up too: divide by their number.
    """
    rows = [{name: float(value) for name, value in part.items()} for part in parts]
    if not rows:
        return {}
    merged: Metrics = {}
    for name in rows[0]:
        column = [row[name] for row in rows]
        if name.endswith(("loss", "tokens")):
            merged[name] = sum(column)
        elif name.endswith("_max"):
            merged[name] = max(column)
        else:
            count = "value_tokens" if name.startswith("value_") else "tokens"
            counts = [row[count] for row in rows]
            weighted = sum(n * v for n, v in zip(counts, column, strict=True))
            merged[name] = weighted / (sum(counts) or 1.0)
    return merged
