"""Modes side by side, as the paper's Table 2 has them (arXiv 2507.13348), with intervals and tests.

The same samples are resampled for all modes, so that what is said of *% of full* and of a
difference knows that both sides answered the same questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from experiments.paired import VALUES, column, difference
from experiments.summary import Row, draws, interval, share

FULL = "full"
"""The mode that accuracy is held against."""


def side_by_side(
    modes: Mapping[str, Sequence[Row]], *, seed: int = 0
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """What modes have to say of each other.

    Args:
        modes: Rows by mode.
        seed: Seeds the bootstrap.

    Returns:
        By mode ``relative_accuracy`` and ``relative_score``, over those of ``full`` (``None``
        without it), and ``bootstrap_95``: intervals of these, ``accuracy``, ``score``,
        ``request_rate`` and ``token_ratio``. And for each pair of modes a test: ``a``, ``b``, and
        of ``accuracy``, ``score`` and ``request_rate`` what
        :func:`experiments.paired.difference` says.
    """
    by_id = {name: {row["id"]: row for row in rows} for name, rows in modes.items()}
    ids = list(dict.fromkeys(i for rows in by_id.values() for i in rows))
    columns = {
        name: {key: column(rows, ids, value) for key, value in _NUMBERS.items()}
        for name, rows in by_id.items()
    }
    drawn = {name: _drawn(found, len(ids), seed) for name, found in columns.items()}
    told: dict[str, dict[str, Any]] = {}
    for name, found in columns.items():
        one: dict[str, Any] = {}
        spread = {key: interval(values) for key, values in drawn[name].items()}
        for key in ("accuracy", "score"):
            whole = columns[FULL][key] if FULL in columns else np.empty(0)
            relative = _relative(found[key], whole)
            one[f"relative_{key}"] = relative
            spread[f"relative_{key}"] = (
                None if relative is None else interval(share(drawn[name][key], drawn[FULL][key]))
            )
        told[name] = {**one, "bootstrap_95": spread}
    tests = [
        {
            "a": a,
            "b": b,
            **{
                key: difference(columns[a][key], columns[b][key], test=key != "score", seed=seed)
                for key in ("accuracy", "score", "request_rate")
            },
        }
        for a, b in combinations(modes, 2)
    ]
    return told, tests


_NUMBERS = {
    **{key: VALUES[key] for key in ("accuracy", "score", "request_rate", "visual_tokens")},
    "full_tokens": lambda row: row["full_tokens"],
}


def _relative(values: Any, whole: Any) -> float | None:
    """A mean over that of ``full``; ``None`` where either has no value, or ``full``'s is 0."""
    some, all_ = values[np.isfinite(values)], whole[np.isfinite(whole)]
    if not len(some) or not all_.any():
        return None
    return float(some.mean() / all_.mean())


def _drawn(columns: Mapping[str, Any], n: int, seed: int) -> dict[str, Any]:
    """The numbers of one mode in each resample: float [B] each, NaN where there is no sample."""
    filled = {key: np.nan_to_num(values) for key, values in columns.items()}
    known = {key: np.isfinite(values).astype(float) for key, values in columns.items()}

    def mean(key: str) -> Any:
        values, there = filled[key], known[key]
        return draws(lambda i: share(values[i].sum(-1), there[i].sum(-1)), n, seed)

    shown, full = filled["visual_tokens"], filled["full_tokens"]
    return {
        **{key: mean(key) for key in ("accuracy", "score", "request_rate")},
        "token_ratio": draws(lambda i: share(shown[i].sum(-1), full[i].sum(-1)), n, seed),
    }
