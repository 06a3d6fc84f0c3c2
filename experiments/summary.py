"""From episodes to the numbers of a table, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 2_000
_Z = 1.959963984540054
Row = Mapping[str, Any]
"""One line of ``episodes.jsonl``."""


def summarise(
    rows: Sequence[Row], refused: Iterable[Mapping[str, str]] = (), *, seed: int = 0
) -> dict[str, Any]:
    """Everything that ``result.json`` says of a set of episodes.

    Args:
        rows: Episodes as written to ``episodes.jsonl``.
        refused: Rows that were not played: ``id``, ``reason`` and, where known, ``kind`` and
            ``source``.
        seed: Seeds the bootstrap.

    Returns:
        The fields of :func:`measure`, and the same by kind and by source.
    """
    refused = list(refused)
    made = measure(rows, len(refused), seed)
    for key in ("kind", "source"):
        names = sorted({str(r[key]) for r in rows} | {r[key] for r in refused if r.get(key)})
        made[f"by_{key}"] = {
            name: measure(
                [r for r in rows if r[key] == name],
                sum(r.get(key) == name for r in refused),
                seed,
            )
            for name in names
        }
    return made


def measure(rows: Sequence[Row], refused: int, seed: int = 0) -> dict[str, Any]:
    """Rates and means of one set of episodes.

    ``accuracy`` is over scored episodes only. ``token_ratio`` is what was shown over what showing
    every original once would have cost, in total. Rates have Wilson intervals; token means have
    percentile bootstrap intervals over episodes. What has no data is ``None``.
    """
    scored = [r["correct"] for r in rows if r["correct"] is not None]
    requested = [r["requested"] for r in rows]
    formed = [r["well_formed"] for r in rows]
    shown = np.array([r["visual_tokens"] for r in rows], float)
    full = np.array([r["full_tokens"] for r in rows], float)
    return {
        "n": len(rows),
        "accuracy": _mean(scored),
        "request_rate": _mean(requested),
        "visual_tokens": _mean(shown),
        "token_ratio": float(shown.sum() / full.sum()) if len(rows) else None,
        "format_rate": _mean(formed),
        "unscored": len(rows) - len(scored),
        "refused": refused,
        "futile_requests": sum(bool(r["futile_request"]) for r in rows),
        "interval_95": {
            "accuracy": wilson(sum(scored), len(scored)),
            "request_rate": wilson(sum(requested), len(rows)),
            "format_rate": wilson(sum(formed), len(rows)),
            "visual_tokens": bootstrap(lambda i: shown[i].mean(-1), len(rows), seed),
            "token_ratio": bootstrap(lambda i: shown[i].sum(-1) / full[i].sum(-1), len(rows), seed),
        },
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def wilson(successes: int, n: int) -> list[float] | None:
    """Wilson's score interval of a proportion, 95 % (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    if not n:
        return None
    p, z2 = successes / n, _Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return [max(0.0, centre - half), min(1.0, centre + half)]


def bootstrap(
    statistic: Callable[[Any], Any], n: int, seed: int, resamples: int = RESAMPLES
) -> list[float] | None:
    """Percentile bootstrap interval, 95 %.

    Args:
        statistic: From int [B, n] indices of episodes to float [B].
        n: Number of episodes.
        seed: Seeds the resampling.
        resamples: B in total; drawn in blocks, so that memory does not grow with it.
    """
    if not n:
        return None
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // n)
    values = [
        np.asarray(statistic(rng.integers(n, size=(min(block, resamples - start), n))))
        for start in range(0, resamples, block)
    ]
    low, high = np.quantile(np.concatenate(values), [0.025, 0.975])
    return [float(low), float(high)]
