"""The report's plots: files beside the page, and the same drawings inside it."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.plots import Bar, Bars, accuracy_against_tokens, grouped_bars, training_curves
from experiments.report.diagnosed import draw_checkpoints, draw_diagnosis
from experiments.report.reading import Numbers, Results, Run, is_number
from trainers.files import PART

SUFFIXES = (".png", ".svg")
_GROUPS = 30
"""Groups of questions that a panel has room for."""
_NAMED = 6
"""Policies that a caption names."""
_RATE = "rollout/request_rate"
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
    def name(self) -> str:
        """One of :data:`NAMES`, where it was drawn here."""
        return self.path.name.rpartition("-")[2]

    def copied(self, stem: Path) -> Figure:
        """The figure with its files put beside a page, each whole or not at all."""
        path = stem.with_name(f"{stem.name}-{self.name}")
        for suffix in SUFFIXES:
            part = path.with_name(f"{path.name}{suffix}{PART}")
            shutil.copyfile(self.path.with_suffix(suffix), part)
            part.replace(path.with_name(path.name + suffix))
        return replace(self, path=path)

    @property
    def data_uri(self) -> str:
        """The SVG file as a data URI, which also fits a dark page."""
        text = self.path.with_suffix(".svg").read_text("utf-8")
        start = text.index(">", text.index("<svg")) + 1
        dark = (text[:start] + _DARK + text[start:]).encode()
        return f"data:image/svg+xml;base64,{base64.b64encode(dark).decode('ascii')}"


def draw(found: Results, stem: Path) -> list[Figure]:
    """Draw whatever there are numbers for.

    Args:
        found: What was read.
        stem: Path of the files, to which each adds its name.
    """
    results = {p.name: p.numbers for p in found.policies if p.numbers is not None}
    others = {"training": found.runs, "diagnosis": found.diagnosed, "checkpoints": found.diagnosed}
    made: list[Figure] = []
    for name, make in _DRAWINGS.items():
        out = stem.with_name(f"{stem.name}-{name}")
        if caption := make(others.get(name, results), out):
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
    known = {n: r for n, r in results.items() if r["n"] and r["request_rate"] is not None}
    asking = {n: r for n, r in known.items() if 0 < r["request_rate"] < 1}
    constant = [name for name in known if name not in asking]
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
            name: (result[key], result["interval_95"].get(key))
            for name, result in results.items()
            if result[key] is not None
        }
        for group, results in groups.items()
    }


def _costs(results: Mapping[str, Numbers], out: Path) -> str | None:
    """What an episode took, of those that say what was generated.

    Times are not drawn: what an agent or a reader remembers of a picture makes the next run on it
    look cheap.
    """
    known = {n: r for n, r in results.items() if r.get("generated_tokens") is not None and r["n"]}
    if not known:
        return None
    sizes = {"all": max(result["n"] for result in known.values())}
    panels = [
        Bars(measure, "data", _bars({"all": known}, key), sizes)
        for measure, key in (
            ("visual tokens shown, an episode", "visual_tokens"),
            ("generated tokens, an episode", "generated_tokens"),
        )
    ]
    grouped_bars([panel for panel in panels if panel.groups["all"]], list(results),
                 "What answers cost", out)  # fmt: skip
    return (
        "What an episode cost: visual tokens that the policy was shown, and tokens that it "
        "generated. Times are in result.json; where pictures are remembered they compare nothing."
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
    return {
        "share of rollouts that ask": _requested_by_kind(run, _CURVES),
        "reward, and shares": {
            "reward": _line(run, "reward/mean"),
            "accuracy": _line(run, "env/accuracy"),
            "visual tokens, of full": _line(run, "env/token_ratio"),
            "all who ask": _line(run, _RATE),
        },
    }


def _several_runs(runs: Sequence[Run]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    by_kind = [_requested_by_kind(run, _CURVES) for run in runs]
    if sum(map(len, by_kind)) > _CURVES:
        by_kind = [{"all": _line(run, _RATE)} for run in runs]
    return {
        "share of rollouts that ask": {
            f"{run.name}, {kind}": line
            for run, lines in zip(runs, by_kind, strict=True)
            for kind, line in lines.items()
        },
        "reward": {run.name: _line(run, "reward/mean") for run in runs},
    }


def _requested_by_kind(run: Run, most: int) -> dict[str, list[tuple[int, float]]]:
    """How often rollouts ask, by kind of question where that is known."""
    names = sorted({key for row in run.metrics for key in row if key.startswith(f"{_RATE}/")})
    kinds = {name.removeprefix(f"{_RATE}/"): _line(run, name) for name in names[:most]}
    return kinds or {"all": _line(run, _RATE)}


_DRAWINGS: Mapping[str, Callable[[Any, Path], str | None]] = {
    "accuracy": _accuracy,
    "requests": _requests,
    "costs": _costs,
    "diagnosis": draw_diagnosis,
    "checkpoints": draw_checkpoints,
    "training": _training,
}
NAMES = tuple(_DRAWINGS)
"""What figures are called, at the end of their files' names."""
