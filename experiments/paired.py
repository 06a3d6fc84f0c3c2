"""Two results on the same samples: differences, their intervals, and exact tests.

Legend: n samples, B resamples; NaN is a sample that one of the two has no value for.

Both answered the same questions, so what they have in common (a question that is hard for
everybody) is no noise of their difference: samples are resampled, not the two results apart. An
interval is that of Efron's percentile bootstrap (Efron & Tibshirani 1993, *An Introduction to the
Bootstrap*, ch. 13). Whether one is right more often than the other is McNemar's test (1947,
Psychometrika 12), exact: of the b + c samples that just one of the two got right, the number b
would be Binomial(b + c, 1/2) if both were equally good.

    p = min(1, 2 · Σ_{k ≤ min(b, c)} C(b + c, k) / 2^(b + c))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.summary import Row, draws, interval, score_of, share

Column = NDArray[np.float64]


def mcnemar(only_a: int, only_b: int) -> float:
    """The two-sided p-value of McNemar's exact test.

    Args:
        only_a: Samples that only the first got right.
        only_b: Samples that only the second got right.
    """
    n, few = only_a + only_b, min(only_a, only_b)
    term = total = 1
    for k in range(few):
        term = term * (n - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / 2**n)


def column(rows: Mapping[str, Row], ids: Sequence[str], value: Callable[[Row], Any]) -> Column:
    """A value of each sample, NaN where a result has no row of it or no value: float [n]."""
    found = ((value(rows[i]) if i in rows else None) for i in ids)
    return np.array([np.nan if v is None else float(v) for v in found])


VALUES: Mapping[str, Callable[[Row], Any]] = {
    "accuracy": lambda row: row["correct"],
    "score": score_of,
    "request_rate": lambda row: row["requested"],
    "format_rate": lambda row: row["well_formed"],
    "visual_tokens": lambda row: row["visual_tokens"],
    "generated_tokens": lambda row: row.get("generated_tokens"),
}
"""What is compared of a row; the means over rows are the numbers of ``result.json``."""

TESTED = ("accuracy", "request_rate", "format_rate")
"""Those of them that are yes or no."""


def difference(a: Column, b: Column, *, test: bool = False, seed: int = 0) -> dict[str, Any]:
    """How the second differs from the first, over the samples that both have a value for.

    Args:
        a: Float [n].
        b: Float [n].
        test: Whether values are yes or no, so that McNemar's test can be made.
        seed: Seeds the bootstrap.

    Returns:
        ``n``; the means ``a`` and ``b``; ``difference``, b - a, and its ``interval_95``. With
        ``test``: ``only_a`` and ``only_b``, the samples with a yes of just one, and McNemar's
        ``p``. What has no data is ``None``.
    """
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    d, n = b - a, int(both.sum())
    found: dict[str, Any] = {
        "n": n,
        "a": float(a.mean()) if n else None,
        "b": float(b.mean()) if n else None,
        "difference": float(d.mean()) if n else None,
        "interval_95": interval(draws(lambda i: d[i].mean(-1), n, seed)),
    }
    if test:
        only_a, only_b = int((d < 0).sum()), int((d > 0).sum())
        p = mcnemar(only_a, only_b) if n else None
        found.update(only_a=only_a, only_b=only_b, p=p)
    return found


def differences(
    a: Mapping[str, Row], b: Mapping[str, Row], ids: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """All of :data:`VALUES`, and ``token_ratio``: shown over showing every original once.

    Args:
        a: Rows by id.
        b: The same of the other result.
        ids: Samples that are compared.
        seed: Seeds the bootstrap.
    """
    found: dict[str, Any] = {
        name: difference(
            column(a, ids, value), column(b, ids, value), test=name in TESTED, seed=seed
        )
        for name, value in VALUES.items()
    }
    found["token_ratio"] = _ratios(a, b, ids, seed)
    return found


def _ratios(
    a: Mapping[str, Row], b: Mapping[str, Row], ids: Sequence[str], seed: int
) -> dict[str, Any]:
    shown, full = (
        np.stack([column(rows, ids, lambda row, k=key: row[k]) for rows in (a, b)])
        for key in ("visual_tokens", "full_tokens")
    )
    both = np.isfinite(shown).all(0)
    shown, full, n = shown[:, both], full[:, both], int(both.sum())
    if not n or not full.sum(1).all():
        return {"n": n, "a": None, "b": None, "difference": None, "interval_95": None}
    a_ratio, b_ratio = (float(ratio) for ratio in shown.sum(1) / full.sum(1))

    def differs(i: Any) -> Any:
        first, second = (
            share(s[i].sum(-1), f[i].sum(-1)) for s, f in zip(shown, full, strict=True)
        )
        return second - first

    return {
        "n": n,
        "a": a_ratio,
        "b": b_ratio,
        "difference": b_ratio - a_ratio,
        "interval_95": interval(draws(differs, n, seed)),
    }
