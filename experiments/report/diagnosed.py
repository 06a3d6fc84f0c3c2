"""Diagnoses in a report: read from results, side by side, and over the checkpoints of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.diagnosis import ALL, Diagnosis, Rate, sentences, table
from experiments.episodes import Notes
from experiments.plots import Bar, Bars, grouped_bars, training_curves
from experiments.report.text import shown
from experiments.tables import Table

_STEP = re.compile(r"[/-]?step-(\d+)")
_RATES = {
    "calls put right or wrong, of all questions": {
        "put right": "call_gain", "put wrong": "call_harm",
    },
    "asking and need, as shares": {
        "asks": "rate", "needs a call": "needed", "asks, of those in need": "hits",
        "in need, of those asked about": "worth",
    },
}  # fmt: skip
"""What is drawn of each diagnosis, by panel and name."""
_LEFT = "of the calls' gain, left with another view"
SUITE = "all benchmarks"
"""What a diagnosis over the benchmarks of a suite is said to be of."""


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """What the calls of one agent do.

    Attributes:
        name: What the report calls it.
        agent: Who played.
        found: Of all samples, and of their groups where there are several.
        data: What was played: a benchmark's name, or the spec of a source.
        grouping: What the groups are: kinds of question, or the benchmarks of a suite.
    """

    name: str
    agent: str
    found: Mapping[str, Diagnosis]
    data: str = ""
    grouping: str = "kind"

    @property
    def all(self) -> Diagnosis:
        """Of all samples."""
        return self.found[ALL]

    @property
    def run(self) -> str:
        """The agent without the step of its checkpoint."""
        return _STEP.sub("", self.agent)

    @property
    def step(self) -> int | None:
        """The training step of the checkpoint that played, where its name says it."""
        found = _STEP.search(self.agent)
        return int(found[1]) if found else None

    @property
    def table(self) -> Table:
        """A line for all and for each group."""
        made = table(self.found)
        return Table(f"{made.title} {self.name}", made.columns, made.rows)

    @property
    def sentences(self) -> list[str]:
        """What it means."""
        return sentences(self.found, self.grouping)


def read_diagnosed(result: Mapping[str, Any], notes: Notes, where: str) -> list[Diagnosed]:
    """The diagnosis in a ``result.json``; none where there is none, or it is not as it should be.

    Args:
        result: The file.
        notes: Where it is said that one was left out.
        where: Name of the file.
    """
    if "diagnosis" not in result:
        return []
    data = data_name(str(result.get("data", "")))
    return _read(result["diagnosis"], str(result.get("agent", "")), data, "kind", notes, where)


def data_name(spec: str) -> str:
    """What a page calls data: a benchmark by its name, other data by their spec."""
    kind, _, rest = spec.partition(":")
    return rest.partition(",")[0] if kind == "benchmark" else spec


def read_suite(suite: Mapping[str, Any], notes: Notes, where: str) -> list[Diagnosed]:
    """The diagnoses in a ``suite.json``, one an agent, over all its benchmarks."""
    told = suite.get("diagnosis", {})
    if not isinstance(told, Mapping):
        told = {"": told}
    return [
        one
        for agent, found in told.items()
        for one in _read(found, str(agent), SUITE, "benchmark", notes, where)
    ]


def _read(
    told: Any, agent: str, data: str, grouping: str, notes: Notes, where: str
) -> list[Diagnosed]:
    agent, data = shown(agent, 200), shown(data, 80)
    try:
        found = {shown(k, 80): Diagnosis.of(v) for k, v in told.items()}
        name = ": ".join(part for part in (agent, data) if part)
        made = Diagnosed(name, agent, found, data, grouping)
        _ = made.table.cells(), made.sentences
    except (TypeError, ValueError, KeyError, AttributeError):
        notes.add("a diagnosis that is not as it should be was left out", where)
        return []
    return [made]


def draw_diagnosis(diagnosed: Sequence[Diagnosed], out: Path) -> str | None:
    """By kind of question; of several agents or data, of all questions."""
    if not diagnosed:
        return None
    (first, *more) = diagnosed
    groups = {one.name: one.all for one in diagnosed} if more else first.found
    sizes = {name: d.n for name, d in groups.items()}
    grouping = "agent and data" if more else "kind of question"
    panels = [
        Bars(measure, grouping, {g: _bars(d, names) for g, d in groups.items()}, sizes)
        for measure, names in _RATES.items()
    ]
    left = {g: {n: _bar(r) for n, r in d.survives.items() if r.value is not None}
            for g, d in groups.items()}  # fmt: skip
    if any(left.values()):
        panels.append(Bars(_LEFT, grouping, left, sizes))
    order = dict.fromkeys(n for p in panels for group in p.groups.values() for n in group)
    grouped_bars(panels, list(order), "Does looking closer help?", out, stacked=True)
    return (
        "What calls put right and wrong; how often is asked beside how often a call is needed; and "
        "how much of the calls' gain is left when they show something else, with 95 % intervals. A "
        "policy is calibrated where the bars of asking and need are alike."
    )


def _bars(d: Diagnosis, names: Mapping[str, str]) -> dict[str, Bar]:
    rates: dict[str, Rate] = {name: getattr(d, key) for name, key in names.items()}
    return {name: _bar(rate) for name, rate in rates.items() if rate.value is not None}


def _bar(rate: Rate) -> Bar:
    return rate.value or 0.0, rate.interval_95


def draw_checkpoints(diagnosed: Sequence[Diagnosed], out: Path) -> str | None:
    """Over training, of the runs of which several checkpoints were diagnosed on the same data.

    Of a suite, of all its benchmarks together.
    """
    runs: dict[tuple[str, str], dict[int, Diagnosis]] = {}
    for one in diagnosed:
        if one.step is not None:
            runs.setdefault((one.run, one.data), {})[one.step] = one.all
    suites = {run for run, data in runs if data == SUITE}
    runs = {
        (run, data): dict(sorted(steps.items()))
        for (run, data), steps in runs.items()
        if len(steps) > 1 and (data == SUITE or run not in suites)
    }
    if not runs:
        return None
    series: dict[str, dict[str, list[tuple[int, Rate]]]] = {}
    for names, steps in runs.items():
        before = f"{': '.join(filter(None, names))}: " if len(runs) > 1 else ""
        for measure, lines in _RATES.items():
            for name, key in lines.items():
                line = [(step, getattr(d, key)) for step, d in steps.items()]
                series.setdefault(measure, {})[before + name] = line
        for name in dict.fromkeys(n for d in steps.values() for n in d.survives):
            line = [(step, d.survives.get(name, Rate())) for step, d in steps.items()]
            series.setdefault(_LEFT, {})[before + name] = line
    curves = {m: {n: _values(line) for n, line in lines.items()} for m, lines in series.items()}
    spreads = {m: {n: _spread(line) for n, line in lines.items()} for m, lines in series.items()}
    training_curves(curves, "Does looking closer help, over training?", out, spreads, stacked=True)
    return (
        "The same over the checkpoints of a run, with 95 % intervals: whether training makes calls "
        "gain, or harm less."
    )


def _values(line: Sequence[tuple[int, Rate]]) -> list[tuple[int, float]]:
    return [(step, rate.value) for step, rate in line if rate.value is not None]


def _spread(line: Sequence[tuple[int, Rate]]) -> list[tuple[int, float, float]]:
    return [(step, *rate.interval_95) for step, rate in line if rate.interval_95 is not None]
