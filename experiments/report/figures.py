"""The report's plots: files beside the page, and the same drawings inside it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.bars import Bar, Bars, grouped_bars
from experiments.plots import accuracy_against_tokens, training_curves
from experiments.report.records import Policy, Run
from experiments.report.rows import is_number

Numbers = Mapping[str, Any]
_GROUPS = 30
"""Groups of questions that a panel has room for."""
_NAMED = 6
"""Policies that a caption names."""
_CURVES = 12
"""Kinds of question that have a curve of their own."""
_DARK = """<style>
@media (prefers-color-scheme: dark) {
  svg { fill: #e6e6ea; }
  [style*="fill: #ffffff"] { fill: none !important; }
  [style*="fill: #000000"] { fill: #e6e6ea !important; }
  [style*="stroke: #000000"] { stroke: #e6e6ea !important; }
  [style*="stroke: #ffffff"] { stroke: none !important; }
}
</style>"""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot.

    Attributes:
        caption: What it shows, also for those who cannot see it.
        path: Of the file, without its suffix; .png and .svg are there.
    """

    caption: str
    path: Path

    @property
    def data_uri(self) -> str:
        """The SVG file as a data URI, which also fits a dark page."""
        text = self.path.with_suffix(".svg").read_text("utf-8")
        start = text.index(">", text.index("<svg")) + 1
        dark = (text[:start] + _DARK + text[start:]).encode()
        return f"data:image/svg+xml;base64,{base64.b64encode(dark).decode('ascii')}"


def draw(policies: Sequence[Policy], runs: Sequence[Run], stem: Path) -> list[Figure]:
    """Draw whatever there are numbers for.

    Args:
        policies: Whose results are compared.
        runs: Whose curves are drawn.
        stem: Path of the files, to which each adds its name.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    results = {p.name: p.numbers for p in policies if p.numbers is not None}
    parts: list[tuple[str, Callable[[Path], str | None]]] = [
        ("accuracy", lambda out: _accuracy(results, out)),
        ("requests", lambda out: _requests(results, out)),
        ("costs", lambda out: _costs(policies, out)),
        ("training", lambda out: _training(runs, out)),
    ]
    made: list[Figure] = []
    for name, make in parts:
        out = stem.with_name(f"{stem.name}-{name}")
        if caption := make(out):
            made.append(Figure(caption, out))
    return made


def _accuracy(results: Mapping[str, Numbers], out: Path) -> str | None:
    if len(results) == 1:
        ((name, result),) = results.items()
        points = {name: result, **{k or "(no kind)": v for k, v in result["by_kind"].items()}}
    else:
        points = dict(results)
    points = {k: p for k, p in points.items() if p["accuracy"] is not None and p["n"]}
    if not points:
        return None
    accuracy_against_tokens(points, "Accuracy against visual tokens", out)
    return (
        "Accuracy against visual tokens, with 95 % intervals. Tokens are a share of what showing "
        "every original once costs (dotted line)."
    )


def _requests(results: Mapping[str, Numbers], out: Path) -> str | None:
    """How often is asked, of the policies that do not always do the same."""
    asking = {n: r for n, r in results.items() if r["n"] and 0 < (r["request_rate"] or 0) < 1}
    constant = [name for name, r in results.items() if name not in asking and r["n"]]
    shown = asking or {name: results[name] for name in constant[:1]}
    if not shown:
        return None
    panels: list[Bars] = []
    left_out = 0
    for panel, key in (("source", "by_source"), ("kind of question", "by_kind")):
        sizes: dict[str, int] = {}
        for result in shown.values():
            for group, part in result[key].items():
                sizes[group] = max(sizes.get(group, 0), part["n"])
        kept = sorted(sorted(sizes, key=lambda g: -sizes[g])[:_GROUPS])
        left_out += len(sizes) - len(kept)
        groups = {g: {n: r[key][g] for n, r in shown.items() if g in r[key]} for g in kept}
        measure = "share of episodes that asked for the original"
        panels.append(Bars(measure, panel, _bars(groups, "request_rate"), sizes, share=True))
    panels = [panel for panel in panels if panel.groups]
    if not panels:
        return None
    panels = [panel for panel in panels if len(panel.groups) > 1] or panels[-1:]
    grouped_bars(panels, list(results), "Who asks for the original, and where", out)
    caption = (
        "Share of episodes that asked for the original, by "
        f"{' and by '.join(panel.grouping for panel in panels)}, with 95 % intervals."
    )
    if constant and asking:
        caption += f" Not drawn, since they always or never ask: {', '.join(constant[:_NAMED])}"
        caption += f" and {len(constant) - _NAMED} others." if len(constant) > _NAMED else "."
    return caption + (f" The {left_out} smallest groups are not drawn." if left_out else "")


def _bars(groups: Mapping[str, Mapping[str, Numbers]], key: str) -> dict[str, dict[str, Bar]]:
    """A number of results and its interval; those without it are left out."""
    return {
        group: {
            name: (result[key], result["interval_95"][key])
            for name, result in results.items()
            if result[key] is not None
        }
        for group, results in groups.items()
    }


def _costs(policies: Sequence[Policy], out: Path) -> str | None:
    """What turns took, as the paper's Fig. 4 has it: of wall-clock time, and of tokens."""
    times: dict[str, dict[str, Bar]] = {}
    said: dict[str, dict[str, Bar]] = {}
    sizes: dict[str, int] = {}
    for policy in policies:
        for data, cost in policy.costs.items():
            sizes[data] = max(sizes.get(data, 0), cost.n)
            if cost.seconds is not None:
                times.setdefault(data, {})[policy.name] = (cost.seconds, None)
            if cost.tokens is not None:
                said.setdefault(data, {})[policy.name] = (cost.tokens, cost.interval)
    panels = [
        Bars(measure, "data", groups, sizes)
        for measure, groups in (
            ("seconds of the agent, an episode", times),
            ("generated tokens, an episode", said),
        )
        if groups
    ]
    if not panels:
        return None
    grouped_bars(panels, [policy.name for policy in policies], "What answers cost", out)
    return (
        "What an episode cost: the wall-clock time in which the agent made its turns, and the "
        "tokens that it generated. Times are comparable within one evaluation on one machine."
    )


def _training(runs: Sequence[Run], out: Path) -> str | None:
    drawn = [run for run in runs if run.metrics]
    if not drawn:
        return None
    series = _one_run(drawn[0]) if len(drawn) == 1 else _several_runs(drawn)
    if not any(points for curves in series.values() for points in curves.values()):
        return None
    training_curves(series, "Training", out)
    return (
        "Training: the share of rollouts that ask for the original, and what they get, over steps."
    )


def _line(run: Run, key: str) -> list[tuple[int, float]]:
    return [
        (int(row["step"]), float(row[key]))
        for row in run.metrics
        if is_number(row.get("step")) and is_number(row.get(key))
    ]


def _one_run(run: Run) -> dict[str, dict[str, list[tuple[int, float]]]]:
    prefix = "rollout/request_rate/"
    names = sorted({key for row in run.metrics for key in row if key.startswith(prefix)})
    kinds = {name.removeprefix(prefix): _line(run, name) for name in names[:_CURVES]}
    return {
        "share of rollouts that ask": kinds or {"all": _line(run, "rollout/request_rate")},
        "reward, and shares": {
            "reward": _line(run, "reward/mean"),
            "accuracy": _line(run, "env/accuracy"),
            "visual tokens, of full": _line(run, "env/token_ratio"),
            "all who ask": _line(run, "rollout/request_rate"),
        },
    }


def _several_runs(runs: Sequence[Run]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    return {
        "share of rollouts that ask": {r.name: _line(r, "rollout/request_rate") for r in runs},
        "reward": {r.name: _line(r, "reward/mean") for r in runs},
    }
