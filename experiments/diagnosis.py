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

Legend: n samples that are scored in both runs. A number that another mode tells is of those of them
that have a verdict there; how many have none is counted. Intervals are percentile bootstraps of
questions, each with all its episodes; of ratios, over the resamples in which there is something
below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.episodes import Row
from experiments.summary import column, interval, numbered, ratios
from experiments.tables import Column, Table
from vt_env import DataError

PLAYED, WITHOUT, ORACLE = "visionthink", "no-tool", "oracle-crop"
MOVED = "random-crop"
OTHERS = (MOVED, "same-view", "blank", ORACLE)
"""What the tool shows in place of what was asked for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A number with its interval; both ``None`` where it has no data.

    Attributes:
        value: The number.
        interval_95: Its interval.
    """

    value: float | None = None
    interval_95: tuple[float, float] | None = None


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
        overlap: Of what calls asked for, the share that ``random-crop`` showed all the same.
        left_out: By mode, the samples that its numbers leave out: those that are unscored; with
            ``oracle-crop`` also those that do not say where the answer is; with the other views,
            of those asked about, and with ``random-crop`` also those with a call for all of a
            picture, which nothing else can stand for.
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
    overlap: Rate = Rate()
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Diagnosis:
        """From what :meth:`record` made."""

        def rate(found: Mapping[str, Any]) -> Rate:
            ends = found["interval_95"]
            return Rate(found["value"], ends and (ends[0], ends[1]))

        made = {k: rate(v) if k in _RATES else v for k, v in record.items()}
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
        DataError: If a mode is missing, or was played on other samples; ``oracle-crop`` may lack
            some.
    """
    if missing := [name for name in (played, WITHOUT) if name not in rows]:
        raise DataError(
            f"a diagnosis needs the modes {played} and {WITHOUT}; {missing[0]} is missing"
        )
    told = {mode: found for mode, found in rows.items() if mode in (played, WITHOUT, *OTHERS)}
    by_name = {mode: {_name(row): row for row in found} for mode, found in told.items()}
    names = by_name[played].keys()
    for mode, found in by_name.items():
        if found.keys() - names or (mode != ORACLE and names - found.keys()):
            raise DataError(f"{mode} was not played on the samples of {played}")
    aligned = {mode: [found.get(name) for name in names] for mode, found in by_name.items()}
    values = {mode: column(found, "accuracy") for mode, found in aligned.items()}
    overlap = np.array([_overlap(row) for row in aligned.get(MOVED, ())]).reshape(-1, 2)
    if MOVED in values:
        still = overlap[:, 1] == 1
        values[MOVED][still] = overlap[still] = np.nan
    scored = np.isfinite(values[played]) & np.isfinite(values[WITHOUT])
    tokens = [column(aligned[mode], "visual_tokens") for mode in (played, WITHOUT)]
    asked = column(aligned[played], "request_rate")
    made = _of(
        values[played][scored], values[WITHOUT][scored], np.nan_to_num(asked)[scored],
        {name: found[scored] for name, found in values.items() if name in OTHERS},
        (tokens[0] - tokens[1])[scored], overlap[scored, 0] if MOVED in values else None,
        np.unique(numbered(aligned[played])[scored], return_inverse=True)[1], seed,
    )  # fmt: skip
    unscored = {mode: int(np.isnan(values[mode]).sum()) for mode in (played, WITHOUT)}
    return replace(made, left_out=_some({**unscored, **made.left_out}))


def _name(row: Row) -> tuple[str, str]:
    """Of a sample, among those of several sources."""
    return row.get("source", ""), row["id"]


def _overlap(row: Row | None) -> tuple[float, float]:
    """Of what its calls asked for, the share that was shown all the same: mean and greatest."""
    found = (row or {}).get("overlap") or [math.nan]
    return sum(found) / len(found), max(found)


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def by_group(
    rows: Mapping[str, Sequence[Row]],
    key: Literal["kind", "source"],
    *,
    played: str = PLAYED,
    seed: int = 0,
) -> dict[str, Diagnosis]:
    """The same for each kind of question, or each source, in the order of the samples."""
    groups = dict.fromkeys(row[key] for row in rows.get(played, ()))
    return {
        group: diagnose(
            {mode: [r for r in found if r[key] == group] for mode, found in rows.items()},
            played=played, seed=seed,
        )
        for group in groups
    }  # fmt: skip


def _of(
    c: Array, w: Array, a: Array, others: Mapping[str, Array], tokens: Array,
    overlap: Array | None, questions: NDArray[np.int64], seed: int,
) -> Diagnosis:  # fmt: skip
    """Every number is a ratio of sums over samples: what is summed up above and below.

    A sample of which a part of a number is not known (NaN) counts neither above nor below.
    """
    one, net = np.ones(len(c)), a * (c - w)
    parts: dict[str, tuple[Array, Array]] = {
        "accuracy": (c, one),
        "without": (w, one),
        "call_gain": (a * c * (1 - w), one),
        "call_harm": (a * (1 - c) * w, one),
        "schema_gain": ((1 - a) * c * (1 - w), one),
        "schema_harm": ((1 - a) * (1 - c) * w, one),
        "rate": (a, one),
        "price": (np.where(a > 0, tokens, 0.0), net),
    }
    left_out: dict[str, int] = {}
    if ORACLE in others:
        need = (1 - w) * others[ORACLE]
        left_out[ORACLE] = int(np.isnan(need).sum())
        parts["needed"], parts["surplus"] = (need, one), (a - need, one)
        parts["hits"], parts["worth"] = (a * need, need), (a * need, a)
    for name, other in others.items():
        parts[name] = (np.where(a > 0, other - w, 0.0), net)
        left_out.setdefault(name, int(np.isnan(parts[name][0]).sum()))
    if overlap is not None:
        parts["overlap"] = (a * overlap, a)
    known = {name: _known(*pair) for name, pair in parts.items()}
    drawn = ratios(known, questions, seed)
    found = {name: _rate(up, down, drawn[name]) for name, (up, down) in known.items()}
    return Diagnosis(
        n=len(c),
        survives={name: found[name] for name in others if found[name].value is not None},
        left_out=left_out,
        **{name: found.get(name, Rate()) for name in _RATES},
    )


def _known(up: Array, down: Array) -> tuple[Array, Array]:
    """What is summed up, without the samples of which a part is not known."""
    both = np.isfinite(up) & np.isfinite(down)
    return np.where(both, up, 0.0), np.where(both, down, 0.0)


_RATES = tuple(
    one.name for one in fields(Diagnosis) if one.name not in ("n", "survives", "left_out")
)


def _rate(up: Array, down: Array, drawn: Array) -> Rate:
    """A ratio of sums, and its interval from the resamples in which it is one."""
    if not down.sum() > 0:
        return Rate()
    spread = interval(drawn)
    return Rate(float(up.sum() / down.sum()), (spread[0], spread[1]) if spread else None)


COLUMNS = (
    Column("", text=True), Column("n", "d"), Column("accuracy", ".3f"), Column("no tool", ".3f"),
    Column("call gain", ".3f"), Column("call harm", ".3f"), Column("schema gain", ".3f"),
    Column("schema harm", ".3f"), Column("asks", ".3f"), Column("needed", ".3f"),
    Column("asks - needed", "+.3f"), Column("asked where needed", ".3f"),
    Column("calls needed", ".3f"), Column("gain left at random", ".2f"),
    Column("tokens an answer", ".0f"),
)  # fmt: skip


def table(found: Mapping[str, Diagnosis]) -> Table:
    """A line for each diagnosis, by its name."""
    rows = [
        (
            name, d.n, *(rate.value for rate in (
                d.accuracy, d.without, d.call_gain, d.call_harm, d.schema_gain, d.schema_harm,
                d.rate, d.needed, d.surplus, d.hits, d.worth, d.survives.get(MOVED, Rate()),
                d.price,
            )),
        )
        for name, d in found.items()
    ]  # fmt: skip
    return Table("Does looking closer help?", COLUMNS, rows)


ALL = "all"
"""What the diagnosis of all samples is called beside those of their groups."""


def miscalibration(found: Mapping[str, Diagnosis]) -> float | None:
    r"""How far asking is from need, over groups: :math:`\sum_k n_k |rate_k - needed_k| / n`.

    Of few samples it is above 0 by chance. ``None`` without groups of which need is known.
    """
    groups = _surplus(found)
    sizes = {name: found[name].n for name in groups}
    total = sum(sizes.values())
    return sum(sizes[name] * abs(off) for name, off in groups.items()) / total if total else None


def _surplus(found: Mapping[str, Diagnosis]) -> dict[str, float]:
    """How much more often than needed it asks, of the groups of which need is known."""
    return {
        name: d.surplus.value
        for name, d in found.items()
        if name != ALL and d.surplus.value is not None
    }


_INSTEAD = {
    MOVED: "a place elsewhere", "same-view": "what was seen already", "blank": "an empty picture"
}  # fmt: skip


def sentences(found: Mapping[str, Diagnosis], grouping: str = "kind") -> list[str]:
    """What the numbers mean, in words.

    Args:
        found: Of all samples, and of groups where there are several.
        grouping: What the groups are.
    """
    d = found[ALL]
    if d.n == 0 or d.call_gain.value is None or d.call_harm.value is None:
        return ["No sample is scored in both runs, so nothing can be said."]
    gain, harm = d.call_gain.value, d.call_harm.value
    said = [
        f"Calls put {gain:.1%} of the answers right and {harm:.1%} wrong: on balance "
        f"{gain - harm:+.1%}."
    ]
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
    said += _calibration(found, grouping)
    said += [_left(what, d.survives[name]) for name, what in _INSTEAD.items() if name in d.survives]
    if MOVED in d.survives and d.overlap.value:
        said.append(f"That place still showed {d.overlap.value:.0%} of what was asked for.")
    if d.price.value is not None:
        said.append(f"An answer that is put right costs {d.price.value:,.0f} visual tokens.")
    if d.left_out:
        told = ", ".join(f"{number:,} by {mode}" for mode, number in d.left_out.items())
        said.append(f"Samples without what a number needs, which are left out of it: {told}.")
    return said


def _calibration(found: Mapping[str, Diagnosis], grouping: str) -> list[str]:
    """How far asking is from need, group by group; nothing where it is not known."""
    if (off := miscalibration(found)) is None:
        return []
    groups = _surplus(found)
    most, least = max(groups, key=lambda k: groups[k]), min(groups, key=lambda k: groups[k])
    ends = [f"most often beyond need about {most} ({groups[most]:+.0%})"] * (groups[most] > 0)
    ends += [f"most often too little about {least} ({groups[least]:+.0%})"] * (groups[least] < 0)
    told = f"; {', '.join(ends)}" if ends else ""
    return [f"By {grouping}, its rate of asking is off the need by {off:.1%} on average{told}."]


def _left(what: str, share: Rate) -> str:
    """What is left of the calls' gain; below nothing, calls put more answers wrong than right."""
    left = share.value or 0.0
    if left < 0:
        return (
            f"Shown {what} instead, nothing of the calls' gain is left: they put more answers "
            f"wrong than right, by {-left:.0%} of that gain."
        )
    return f"Shown {what} instead, {left:.0%} of the calls' gain is left."
