"""From episodes to the numbers of ``result.json``, and what two results differ by.

Rates have Wilson's score interval (1927, J. Am. Stat. Assoc. 22), means and ratios Efron's
percentile bootstrap over questions (Efron & Tibshirani 1993, *An Introduction to the Bootstrap*,
ch. 13), 95 % each. What has no data is ``None``. Legend: n samples, q questions, B resamples.

Where a question was played several times, or in several forms, its episodes are no independent
draws: whole questions are resampled, for rates too.

Two results on the same samples have a question that is hard for everybody in common, which is no
noise of their difference: samples are resampled, not the two results apart. Whether one is right
more often is McNemar's test (1947, Psychometrika 12), exact: of the b + c samples that just one of
the two got right, the number b would be Binomial(b + c, 1/2) if both were equally good.

    p = min(1, 2 · Σ_{k ≤ min(b, c)} C(b + c, k) / 2^(b + c))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2_000
_Z = 1.959963984540054
Row = Mapping[str, Any]
"""One line of ``episodes.jsonl``, see :mod:`experiments.episodes`."""
Column = NDArray[np.float64]
"""A value of each episode, NaN where it is not known: float [n]."""


def score_of(row: Row) -> float | None:
    """The graded score of a row; of one without, 1 or 0; ``None`` where it is unscored."""
    if "score" in row:
        return row["score"]
    return None if row["correct"] is None else float(row["correct"])


VALUES: Mapping[str, Callable[[Row], Any]] = {
    "accuracy": lambda row: row["correct"],
    "score": score_of,
    "request_rate": lambda row: row["requested"],
    "format_rate": lambda row: row["well_formed"],
    "visual_tokens": lambda row: row["visual_tokens"],
    "full_tokens": lambda row: row["full_tokens"],
    "generated_tokens": lambda row: row.get("generated_tokens"),
    "text_tokens": lambda row: row.get("text_tokens"),
    "calls": lambda row: row.get("calls"),
    "views": lambda row: len(row["views"]) if row.get("views") else None,
}
"""What of a row is measured."""


def column(rows: Iterable[Row | None], name: str) -> Column:
    """One of :data:`VALUES` of each row; NaN where there is no row or no value."""
    found = (None if row is None else VALUES[name](row) for row in rows)
    return np.array([math.nan if value is None else float(value) for value in found])


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
    in total. ``generated_tokens`` is a mean, ``generated_total`` the sum. All but the first two are
    ``None`` if of some episode they are not known, as where it was played elsewhere. Where
    questions were played several times there are ``repeats``, see :func:`repeats`.
    """
    found = {name: column(rows, name) for name in VALUES}
    known = {name: np.isfinite(values) for name, values in found.items()}
    whole = {
        name: bool(mask.any() if name in ("accuracy", "score") else len(rows) and mask.all())
        for name, mask in known.items()
    }
    means = {
        name: float(values[known[name]].mean()) if whole[name] else None
        for name, values in found.items()
    }
    shown, full, generated = (
        found[name] for name in ("visual_tokens", "full_tokens", "generated_tokens")
    )
    both = whole["visual_tokens"] and whole["full_tokens"]
    questions, samples = numbered(rows), numbered(rows, sample_of)
    drawn = ratios(
        {
            **{name: (np.nan_to_num(v), known[name]) for name, v in found.items() if whole[name]},
            **({"token_ratio": (shown, full)} if both else {}),
        },
        questions,
        seed,
    )
    spread = {name: interval(values) for name, values in drawn.items()}
    again = repeats(found["accuracy"], found["score"], samples, seed, questions)
    if is_each_once(questions):
        for name in ("accuracy", "request_rate", "format_rate"):
            values = found[name][known[name]] if whole[name] else np.empty(0)
            spread[name] = wilson(int(values.sum()), len(values))
    return {
        "n": len(rows),
        **{name: mean for name, mean in means.items() if name != "full_tokens"},
        "token_ratio": float(shown.sum() / full.sum()) if both and full.any() else None,
        "generated_total": int(generated.sum()) if whole["generated_tokens"] else None,
        "unscored": len(rows) - int(known["accuracy"].sum()),
        "refused": refused,
        "futile_requests": sum(bool(r["futile_request"]) for r in rows),
        "partly_shown": sum("partly_shown" in r for r in rows),
        "interval_95": {
            name: spread.get(name) for name in (*VALUES, "token_ratio") if name != "full_tokens"
        },
        **({"repeats": again} if again else {}),
    }


Name = tuple[str, str]
"""Of a sample or a question: the source, and what it is called there."""


def sample_of(row: Row) -> Name:
    """The sample of a row: its id, or the id of what was played several times."""
    return row.get("source", ""), row["repeat"]["of"] if row.get("repeat") else row["id"]


def question_of(row: Row) -> Name:
    """The question of a row: its sample, or that of which its sample is one of several forms."""
    return (row.get("source", ""), row["form_of"]) if row.get("form_of") else sample_of(row)


def numbered(
    rows: Sequence[Row | None], name: Callable[[Row], Name] = question_of
) -> NDArray[np.int64]:
    """The number of each row's question, from 0 in the order in which they come: int [n]."""
    numbers: dict[Name | int, int] = {}
    return np.array(
        [
            numbers.setdefault(name(row) if row and "id" in row else at, len(numbers))
            for at, row in enumerate(rows)
        ],
        np.int64,
    )


def is_each_once(questions: NDArray[np.int64]) -> bool:
    """Whether no two episodes are of one question."""
    return len(np.unique(questions)) == len(questions)


def repeats(
    correct: Column,
    scores: Column,
    samples: NDArray[np.int64],
    seed: int = 0,
    questions: NDArray[np.int64] | None = None,
) -> dict[str, Any] | None:
    r"""Avg@k and pass@k of samples that were played several times; ``None`` where none was.

    With n scored episodes of a sample, c of them right, pass@k is the probability that of k drawn
    without replacement one is right, the unbiased estimator of Chen et al. 2021 (arXiv 2107.03374,
    eq. 1), meant over the samples with at least k scored episodes:

    .. math::

        1 - \binom{n - c}{k} / \binom{n}{k}

    Args:
        correct: 1, 0, or NaN where it is unscored: float [n].
        scores: Graded: float [n].
        samples: The number of each episode's sample: int [n].
        seed: Seeds the bootstrap of questions.
        questions: The number of each episode's question, where samples are forms of one: int [n].

    Returns:
        ``k``, the most episodes of a sample; ``questions``, how many samples there are;
        ``avg_at_k`` and ``score_at_k``, the means over samples of their episodes' means;
        ``pass_at_k``, by k: 1, 2, 4, … and the most. Each of the last three is
        ``value``, ``n`` samples and ``interval_95``.
    """
    if is_each_once(samples):
        return None
    most = int(np.bincount(samples).max())
    scored = np.isfinite(correct)
    n, c = (
        np.bincount(samples[scored], weights, int(samples.max()) + 1).astype(float)
        for weights in (None, correct[scored])
    )
    graded = np.bincount(samples[scored], scores[scored], len(n))
    of = np.arange(len(n))
    if questions is not None:
        of[samples] = questions
    sizes = sorted({*(2**i for i in range(most.bit_length()) if 2**i <= most), most})

    def over(values: Column, which: NDArray[np.bool_]) -> dict[str, Any]:
        some = values[which]
        numbers = np.unique(of[which], return_inverse=True)[1]
        spread = ratios({"": (some, np.ones(len(some)))}, numbers, seed)
        value = float(some.mean()) if len(some) else None
        return {"value": value, "n": len(some), "interval_95": interval(spread[""])}

    return {
        "k": most,
        "questions": len(n),
        "avg_at_k": over(share(c, n), n > 0),
        "score_at_k": over(share(graded, n), n > 0),
        "pass_at_k": {str(k): over(pass_at(k, n, c), n >= k) for k in sizes},
    }


def pass_at(k: int, n: Column, c: Column) -> Column:
    """The probability that of k of n episodes, c of which are right, one is: float [q].

    NaN where there are fewer than k. As a product: 1 - Π (1 - k / i) over i from n - c + 1 to n.
    """
    found: list[float] = []
    for total, right in zip(n, c, strict=True):
        wrong = math.prod(1 - k / i for i in range(int(total - right) + 1, int(total) + 1))
        found.append(math.nan if total < k else 1.0 - wrong)
    return np.array(found)


def ratios(
    parts: Mapping[str, tuple[Column, Any]],
    questions: NDArray[np.int64],
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, NDArray[np.float64]]:
    """Ratios of sums in bootstrap resamples of questions: float [B] each, of the same resamples.

    Args:
        parts: By name what is summed up above and below, float [n] each; with 1 below, a mean.
        questions: The number of each episode's question, from 0: int [n].
        seed: Seeds the resampling.
        resamples: B.
    """
    if not len(questions) or not parts:
        return {name: np.empty(0) for name in parts}
    q = int(questions.max()) + 1
    sums = np.stack(
        [np.bincount(questions, side, q) for pair in parts.values() for side in pair], axis=1
    )
    rng, block = np.random.default_rng(seed), max(1, 2_000_000 // q)
    found: list[NDArray[np.float64]] = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(q, size=(size, q)) + np.arange(size)[:, None] * q
        times = np.bincount(drawn.ravel(), minlength=size * q).reshape(size, q)
        found.append(np.asarray(times.astype(float) @ sums, float))
    totals = np.concatenate(found)
    return {name: share(totals[:, 2 * at], totals[:, 2 * at + 1]) for at, name in enumerate(parts)}


def share(part: Any, whole: Any) -> Any:
    """A ratio, NaN where the whole is 0: float, of the shape of both."""
    part, whole = np.asarray(part, float), np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def wilson(successes: float, n: int) -> list[float] | None:
    """Wilson's score interval of a proportion, 95 %."""
    if not n:
        return None
    p, z2 = successes / n, _Z**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return [max(0.0, centre - half), min(1.0, centre + half)]


def interval(values: NDArray[np.float64]) -> list[float] | None:
    """The middle 95 % of a statistic's resamples, of those in which it is defined (not NaN)."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [0.025, 0.975])
    return [float(low), float(high)]


FULL = "full"
"""The mode that accuracy is held against."""
COMPARED = (
    "accuracy", "score", "request_rate", "format_rate", "visual_tokens", "generated_tokens"
)  # fmt: skip
TESTED = ("accuracy", "request_rate", "format_rate")
"""Those of them that are yes or no."""


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


def difference(
    a: Column,
    b: Column,
    questions: NDArray[np.int64] | None = None,
    *,
    test: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """How the second differs from the first, over the samples that both have a value for.

    Args:
        a: Float [n].
        b: Float [n].
        questions: The number of each sample's question, where some have several samples.
        test: Whether values are yes or no, so that McNemar's test can be made, unless questions
            have several samples.
        seed: Seeds the bootstrap.

    Returns:
        ``n``; the means ``a`` and ``b``; ``difference``, b - a, and its ``interval_95``. With
        ``test``: ``only_a`` and ``only_b``, the samples with a yes of just one, and McNemar's
        ``p``. What has no data is ``None``.
    """
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    d, n = b - a, int(both.sum())
    apart = questions is None or is_each_once(questions)
    numbers = (
        np.arange(n) if questions is None else np.unique(questions[both], return_inverse=True)[1]
    )
    means = [float(values.mean()) if n else None for values in (a, b, d)]
    found = {
        **_difference(n, *means),
        "interval_95": interval(ratios({"": (d, np.ones(n))}, numbers, seed)[""]),
    }
    if test:
        only_a, only_b = int((d < 0).sum()), int((d > 0).sum())
        p = mcnemar(only_a, only_b) if n and apart else None
        found.update(only_a=only_a, only_b=only_b, p=p)
    return found


def _difference(n: int, a: float | None, b: float | None, d: float | None) -> dict[str, Any]:
    return {"n": n, "a": a, "b": b, "difference": d, "interval_95": None}


def differences(
    a: Mapping[str, Row], b: Mapping[str, Row], ids: Sequence[str], *, seed: int = 0
) -> dict[str, Any]:
    """All of :data:`COMPARED`, and ``token_ratio``: shown over showing every original once.

    Args:
        a: Rows by id.
        b: The same of the other result.
        ids: Samples that are compared.
        seed: Seeds the bootstrap.
    """
    one, other = ([rows.get(i) for i in ids] for rows in (a, b))
    questions = numbered([a.get(i) or b.get(i) for i in ids])
    found = {
        name: difference(
            column(one, name), column(other, name), questions, test=name in TESTED, seed=seed
        )
        for name in COMPARED
    }
    shown, full = (
        np.stack([column(rows, name) for rows in (one, other)])
        for name in ("visual_tokens", "full_tokens")
    )
    found["token_ratio"] = _token_ratios(shown, full, questions, seed)
    return found


def _token_ratios(shown: Any, full: Any, questions: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """The difference of two ratios of sums; both are float [2, n]."""
    both = np.isfinite(shown).all(0)
    shown, full, n = shown[:, both], full[:, both], int(both.sum())
    if not n or not full.sum(1).all():
        return _difference(n, None, None, None)
    a, b = (float(ratio) for ratio in share(shown.sum(1), full.sum(1)))
    numbers = np.unique(questions[both], return_inverse=True)[1]
    drawn = ratios({"a": (shown[0], full[0]), "b": (shown[1], full[1])}, numbers, seed)
    return {**_difference(n, a, b, b - a), "interval_95": interval(drawn["b"] - drawn["a"])}


def side_by_side(
    modes: Mapping[str, Sequence[Row]], *, seed: int = 0
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """What modes have to say of each other, as the paper's Table 2 has it (arXiv 2507.13348).

    The same samples are resampled for all modes.

    Args:
        modes: Rows by mode.
        seed: Seeds the bootstrap.

    Returns:
        By mode ``relative_accuracy`` and ``relative_score``, over those of ``full`` (``None``
        without it), and ``bootstrap_95``: intervals of these, ``accuracy``, ``score``,
        ``request_rate`` and ``token_ratio``. And for each pair of modes a test: ``a``, ``b``, and
        of ``accuracy``, ``score`` and ``request_rate`` what :func:`difference` says.
    """
    by_id = {name: {row["id"]: row for row in rows} for name, rows in modes.items()}
    ids = list(dict.fromkeys(i for rows in by_id.values() for i in rows))
    names = ("accuracy", "score", "request_rate", "visual_tokens", "full_tokens")
    columns = {
        mode: {name: column(map(rows.get, ids), name) for name in names}
        for mode, rows in by_id.items()
    }
    known = {i: row for rows in by_id.values() for i, row in rows.items()}
    questions = numbered([known[i] for i in ids])
    drawn = {mode: _drawn(found, questions, seed) for mode, found in columns.items()}
    told: dict[str, dict[str, Any]] = {}
    for mode, found in columns.items():
        spread = {key: interval(values) for key, values in drawn[mode].items()}
        relative = {}
        for key in ("accuracy", "score"):
            value = _relative(found[key], columns[FULL][key]) if FULL in columns else None
            relative[f"relative_{key}"] = value
            spread[f"relative_{key}"] = (
                None if value is None else interval(share(drawn[mode][key], drawn[FULL][key]))
            )
        told[mode] = {**relative, "bootstrap_95": spread}
    tests = [
        {
            "a": a,
            "b": b,
            **{
                key: difference(
                    columns[a][key], columns[b][key], questions, test=key != "score", seed=seed
                )
                for key in ("accuracy", "score", "request_rate")
            },
        }
        for a, b in combinations(modes, 2)
    ]
    return told, tests


def _relative(values: Column, whole: Column) -> float | None:
    """A mean over that of ``full``; ``None`` where either has no value, or ``full``'s is 0."""
    some, all_ = values[np.isfinite(values)], whole[np.isfinite(whole)]
    return float(some.mean() / all_.mean()) if len(some) and all_.any() else None


def _drawn(
    columns: Mapping[str, Column], questions: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """The numbers of one mode in each resample: float [B] each, NaN where there is no sample."""
    filled = {key: np.nan_to_num(values) for key, values in columns.items()}
    known = {key: np.isfinite(values).astype(float) for key, values in columns.items()}
    parts = {k: (filled[k], known[k]) for k in ("accuracy", "score", "request_rate")}
    tokens = (filled["visual_tokens"], filled["full_tokens"])
    return ratios({**parts, "token_ratio": tokens}, questions, seed)
