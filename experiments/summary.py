"""From episodes to the numbers of a table, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

    ``accuracy`` and ``score`` (the judge's graded score, where it has one) are over scored episodes
    only. ``token_ratio`` is what was shown over what showing every original once would have cost,
    in total. ``generated_tokens`` is a mean, ``generated_total`` the sum; both are ``None`` if
    some episode's are not known, and so is all that is made of visual tokens, requests or the
    format (episodes that were played elsewhere do not say). Rates have Wilson intervals; means have
    percentile bootstrap intervals over episodes. What has no data is ``None``.
    """
    scored = [r["correct"] for r in rows if r["correct"] is not None]
    requested, formed = _known(rows, "requested"), _known(rows, "well_formed")
    shown, full = _known(rows, "visual_tokens"), _known(rows, "full_tokens")
    scores = np.array([s for r in rows if (s := score_of(r)) is not None], float)
    known = _known(rows, "generated_tokens")
    both = min(len(shown), len(full))
    return {
        "n": len(rows),
        "accuracy": _mean(scored),
        "score": _mean(scores),
        "request_rate": _mean(requested),
        "visual_tokens": _mean(shown),
        "token_ratio": float(shown.sum() / full.sum()) if both and full.any() else None,
        "generated_tokens": _mean(known),
        "generated_total": int(known.sum()) if len(known) else None,
        "format_rate": _mean(formed),
        "unscored": len(rows) - len(scored),
        "refused": refused,
        "futile_requests": sum(bool(r["futile_request"]) for r in rows),
        "interval_95": {
            "accuracy": wilson(sum(scored), len(scored)),
            "request_rate": wilson(int(requested.sum()), len(requested)),
            "format_rate": wilson(int(formed.sum()), len(formed)),
            "visual_tokens": bootstrap(lambda i: shown[i].mean(-1), len(shown), seed),
            "token_ratio": bootstrap(
                lambda i: share(shown[i].sum(-1), full[i].sum(-1)), both, seed
            ),
            "score": bootstrap(lambda i: scores[i].mean(-1), len(scores), seed),
            "generated_tokens": bootstrap(lambda i: known[i].mean(-1), len(known), seed),
        },
    }


def _known(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    """A value of every row: float [n]; empty where one is not known."""
    values = [row.get(key) for row in rows]
    return np.empty(0) if None in values else np.array(values, float)


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def share(part: Any, whole: Any) -> Any:
    """A ratio, NaN where the whole is 0: float, of the shape of both."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def wilson(successes: int, n: int) -> list[float] | None:
    """Wilson's score interval of a proportion, 95 % (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    if not n:
        return None
    p, z2 = successes / n, _Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return [max(0.0, centre - half), min(1.0, centre + half)]


def draws(
    statistic: Callable[[Any], Any], n: int, seed: int, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """A statistic of bootstrap resamples: float [resamples, …]; of no data it is empty.

    Args:
        statistic: From int [B, n] indices of episodes to float [B, …].
        n: Number of episodes.
        seed: Seeds the resampling: statistics of equal n and seed see the same resamples.
        resamples: B in total; drawn in blocks, so that memory does not grow with it.
    """
    if not n:
        return np.empty(0)
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // n)
    return np.concatenate(
        [
            np.asarray(statistic(rng.integers(n, size=(min(block, resamples - start), n))), float)
            for start in range(0, resamples, block)
        ]
    )


def interval(values: NDArray[np.float64]) -> list[float] | None:
    """The middle 95 % of a statistic's resamples, of those in which it is defined (not NaN)."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return [float(low), float(high)]


def bootstrap(
    statistic: Callable[[Any], Any], n: int, seed: int, resamples: int = RESAMPLES
) -> list[float] | None:
    """Percentile bootstrap interval, 95 %; see :func:`draws`."""
    return interval(draws(statistic, n, seed, resamples))


def score_of(row: Row) -> float | None:
    """The graded score of a row; of one without, 1 or 0; ``None`` where it is unscored."""
    if "score" in row:
        return row["score"]
    return None if row["correct"] is None else float(row["correct"])
