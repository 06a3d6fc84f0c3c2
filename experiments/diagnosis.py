r"""Does looking closer help? What an agent's calls gain and harm, from runs on the same samples.

One agent plays every sample as ever (``played``), without the tool (``no-tool``), and with a tool
that shows something else than it was asked for (``blank``, ``same-view``, ``random-crop``,
``oracle-crop``; :mod:`vt_env.tools.counterfactual`). For sample i let :math:`c_i` be 1 where the
played answer is right, :math:`w_i` the same without the tool, and :math:`a_i` 1 where a call was
made in play. Then the difference that the tool makes to the accuracy is the sum of four parts, as
arXiv 2602.01334 takes them apart:

.. math::

    \overline{c} - \overline{w} = \underbrace{\overline{a c (1-w)}}_{call gain}
        - \underbrace{\overline{a (1-c) w}}_{call harm}
        + \underbrace{\overline{(1-a) c (1-w)}}_{schema gain}
        - \underbrace{\overline{(1-a) (1-c) w}}_{schema harm}

The last two are of samples about which nothing was asked: the mere offer of a tool, and chance
where answers are sampled, change answers too. A call is *needed* where the answer is wrong without
the tool and right with the place of the answer shown, which the mode ``oracle-crop`` does whether
the agent asks or not.

Legend: n samples that are scored in both runs. Intervals are percentile bootstraps of questions,
each with all its episodes; of ratios, over the resamples in which there is something below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.episodes import Row
from experiments.summary import column, interval, numbered, ratios
from experiments.tables import Column, Table
from vt_env import DataError

PLAYED, WITHOUT, ORACLE = "visionthink", "no-tool", "oracle-crop"
OTHERS = ("random-crop", "same-view", "blank", ORACLE)
"""What the tool shows in place of what was asked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A number with its interval; both ``None`` where it has no data.

    Attributes:
        value: The number.
        interval_95: Its interval.
    """

    value: float | None
    interval_95: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the calls of an agent do, on some samples.

    Attributes:
        n: Samples that are scored in both runs.
        accuracy: As played.
        without: Accuracy without the tool.
        call_gain: Share of samples that are right only with the call that was made.
        call_harm: Share of samples that are right only without it.
        schema_gain: Share of samples that are right only with the offer of a tool, unasked.
        schema_harm: Share of samples that are right only without the offer.
        rate: Share of samples about which the agent asks.
        needed: Share of samples that need a call; ``None`` without ``oracle-crop``.
        surplus: ``rate`` less ``needed``: above 0 it asks too often, below too seldom.
        hits: Of the samples that need a call, the share about which it asks.
        worth: Of the calls, the share that are needed.
        survives: Of the calls' net gain, the share that is left with each other view, by its name.
            Nothing where the calls gain less than nothing.
        price: Visual tokens that calls add, for each answer that they put right on balance.
    """

    n: int
    accuracy: Rate
    without: Rate
    call_gain: Rate
    call_harm: Rate
    schema_gain: Rate
    schema_harm: Rate
    rate: Rate
    needed: Rate
    surplus: Rate
    hits: Rate
    worth: Rate
    survives: Mapping[str, Rate]
    price: Rate

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Diagnosis:
        """From what :meth:`record` made."""

        def rate(found: Mapping[str, Any]) -> Rate:
            ends = found["interval_95"]
            return Rate(found["value"], ends and (ends[0], ends[1]))

        made = {k: v if k in ("n", "survives") else rate(v) for k, v in record.items()}
        survives = {name: rate(found) for name, found in record["survives"].items()}
        return cls(**{**made, "survives": survives})


Array = NDArray[np.float64]


def diagnose(
    rows: Mapping[str, Sequence[Row]], *, played: str = PLAYED, seed: int = 0
) -> Diagnosis:
    """What the calls do.

    Args:
        rows: Episodes by mode: ``played`` and ``no-tool``, and any of :data:`OTHERS`.
        played: The mode in which the agent plays as ever.
        seed: Seeds the bootstrap.

    Raises:
        DataError: If a mode is missing, or was played on other samples.
    """
    if missing := [name for name in (played, WITHOUT) if name not in rows]:
        raise DataError(
            f"a diagnosis needs the modes {played} and {WITHOUT}; {missing[0]} is missing"
        )
    by_id = {mode: {row["id"]: row for row in found} for mode, found in rows.items()}
    ids = list(by_id[played])
    for mode in rows:
        if mode in (WITHOUT, *OTHERS) and by_id[mode].keys() != by_id[played].keys():
            raise DataError(f"{mode} was not played on the samples of {played}")
    values = {
        mode: column([by_id[mode][i] for i in ids], "accuracy")
        for mode in rows
        if mode in (played, WITHOUT, *OTHERS)
    }
    both = np.isfinite(values[played]) & np.isfinite(values[WITHOUT])
    tokens = [column([by_id[mode][i] for i in ids], "visual_tokens") for mode in (played, WITHOUT)]
    asked = np.array([bool(by_id[played][i]["requested"]) for i in ids], float)
    questions = numbered([by_id[played][i] for i in ids])[both]
    return _of(
        values[played][both], values[WITHOUT][both], asked[both],
        {name: found[both] for name, found in values.items() if name in OTHERS},
        (tokens[0] - tokens[1])[both], np.unique(questions, return_inverse=True)[1], seed,
    )  # fmt: skip


def by_kind(
    rows: Mapping[str, Sequence[Row]], *, played: str = PLAYED, seed: int = 0
) -> dict[str, Diagnosis]:
    """The same for each kind of question, in the order of the samples."""
    kinds = dict.fromkeys(row["kind"] for row in rows.get(played, ()))
    return {
        kind: diagnose(
            {mode: [r for r in found if r["kind"] == kind] for mode, found in rows.items()},
            played=played, seed=seed,
        )
        for kind in kinds
    }  # fmt: skip


def _of(
    c: Array, w: Array, a: Array, others: Mapping[str, Array], tokens: Array,
    questions: NDArray[np.int64], seed: int,
) -> Diagnosis:  # fmt: skip
    """Every number is a ratio of sums over samples: what is summed up above and below."""
    one, net = np.ones(len(c)), a * (c - w)
    parts: dict[str, tuple[Array, Array]] = {
        "accuracy": (c, one),
        "without": (w, one),
        "call_gain": (a * c * (1 - w), one),
        "call_harm": (a * (1 - c) * w, one),
        "schema_gain": ((1 - a) * c * (1 - w), one),
        "schema_harm": ((1 - a) * (1 - c) * w, one),
        "rate": (a, one),
    }
    if ORACLE in others:
        need = (1 - w) * np.nan_to_num(others[ORACLE])
        parts["needed"], parts["surplus"] = (need, one), (a - need, one)
        parts["hits"], parts["worth"] = (a * need, need), (a * need, a)
    if net.sum() > 0:
        parts["price"] = (a * tokens, net)
        for name, other in others.items():
            if np.isfinite(other[a > 0]).all():
                parts[name] = (np.where(a > 0, other - w, 0.0), net)
    drawn = ratios(parts, questions, seed)
    found = {name: _rate(up, down, drawn[name]) for name, (up, down) in parts.items()}
    return Diagnosis(
        n=len(c),
        survives={name: found[name] for name in others if name in found},
        **{name: found.get(name, Rate(None, None)) for name in _RATES},
    )


_RATES = tuple(field.name for field in fields(Diagnosis) if field.name not in ("n", "survives"))


def _rate(up: Array, down: Array, drawn: Array) -> Rate:
    """A ratio of sums, and its interval from the resamples in which it is one."""
    if not down.sum() > 0:
        return Rate(None, None)
    spread = interval(drawn)
    return Rate(float(up.sum() / down.sum()), (spread[0], spread[1]) if spread else None)


COLUMNS = (
    Column("", text=True), Column("n", "d"), Column("accuracy", ".3f"), Column("no tool", ".3f"),
    Column("call gain", ".3f"), Column("call harm", ".3f"), Column("asks", ".3f"),
    Column("needed", ".3f"), Column("asks - needed", "+.3f"),
    Column("asked where needed", ".3f"), Column("calls needed", ".3f"),
    Column("gain left at random", ".2f"), Column("tokens an answer", ".0f"),
)  # fmt: skip


def table(found: Mapping[str, Diagnosis]) -> Table:
    """A line for each diagnosis, by its name."""
    rows = [
        (
            name, d.n, d.accuracy.value, d.without.value, d.call_gain.value, d.call_harm.value,
            d.rate.value, d.needed.value, d.surplus.value, d.hits.value, d.worth.value,
            d.survives.get("random-crop", Rate(None, None)).value, d.price.value,
        )
        for name, d in found.items()
    ]  # fmt: skip
    return Table("Does looking closer help?", COLUMNS, rows)


ALL = "all"
"""What the diagnosis of all samples is called beside those of their kinds."""


def miscalibration(found: Mapping[str, Diagnosis]) -> float | None:
    r"""How far asking is from need, over kinds: :math:`\sum_k n_k |rate_k - needed_k| / n`.

    Of few samples it is above 0 by chance. ``None`` without kinds, or where need is not known.
    """
    kinds = [(d.n, d.surplus.value) for name, d in found.items() if name != ALL and d.n]
    if not kinds or any(surplus is None for _, surplus in kinds):
        return None
    return sum(n * abs(surplus or 0.0) for n, surplus in kinds) / sum(n for n, _ in kinds)


def sentences(found: Mapping[str, Diagnosis]) -> list[str]:
    """What the numbers mean, in words.

    Args:
        found: Of all samples, and of kinds where there are several.
    """
    d = found[ALL]
    said: list[str] = []
    if d.n == 0 or d.call_gain.value is None or d.call_harm.value is None:
        return ["No sample is scored in both runs, so nothing can be said."]
    gain, harm = d.call_gain.value, d.call_harm.value
    said.append(
        f"Calls put {gain:.1%} of the answers right and {harm:.1%} wrong: on balance "
        f"{gain - harm:+.1%}."
    )
    if d.schema_gain.value or d.schema_harm.value:
        said.append(
            f"Where nothing was asked, the mere offer of the tool put {d.schema_gain.value:.1%} "
            f"right and {d.schema_harm.value:.1%} wrong."
        )
    if d.hits.value is not None and d.worth.value is not None:
        said.append(
            f"{d.needed.value:.1%} of the questions need a call. The agent asks about "
            f"{d.hits.value:.0%} of them, and {d.worth.value:.0%} of its calls are needed."
        )
    if (off := miscalibration(found)) is not None:
        kinds = {name: one.surplus.value or 0.0 for name, one in found.items() if name != ALL}
        most, least = max(kinds, key=lambda k: kinds[k]), min(kinds, key=lambda k: kinds[k])
        ends = [f"most often beyond need about {most} ({kinds[most]:+.0%})"] * (kinds[most] > 0)
        ends += [f"most often too little about {least} ({kinds[least]:+.0%})"] * (kinds[least] < 0)
        told = f"; {', '.join(ends)}" if ends else ""
        said.append(f"By kind, its rate of asking is off the need by {off:.1%} on average{told}.")
    for name, what in (
        ("random-crop", "a place at random"), ("same-view", "what was seen already"),
        ("blank", "an empty picture"),
    ):  # fmt: skip
        if name in d.survives and (left := d.survives[name].value) is not None:
            said.append(f"Shown {what} instead, {left:.0%} of the calls' gain is left.")
    if d.price.value is not None:
        said.append(f"An answer that is put right costs {d.price.value:,.0f} visual tokens.")
    return said
