"""Plots. Colours are Okabe and Ito's, which colour-blind readers can tell apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, filterwarnings

from vt_env import MissingExtra

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX"


def accuracy_against_tokens(points: Mapping[str, Mapping[str, Any]], title: str, out: Path) -> None:
    """One point with 95 % intervals for each result, as ``out`` with .png and .svg.

    Args:
        points: Results as in ``result.json``, by the name that the legend shows; those without
            an accuracy or tokens are left out.
        title: What the plot is of.
        out: The path without its suffix.
    """
    figure, save = new_figure((9.2, 4.6))
    axes = figure.add_subplot()
    shown = {name: p for name, p in points.items() if None not in (p["accuracy"], p["token_ratio"])}
    for index, (name, point) in enumerate(shown.items()):
        x, y = point["token_ratio"], point["accuracy"]
        spread = point["interval_95"]
        axes.errorbar(
            x,
            y,
            xerr=arms(x, spread["token_ratio"]),
            yerr=arms(y, spread["accuracy"]),
            fmt=_marker(index),
            color=COLOURS[index % len(COLOURS)],
            markersize=8,
            elinewidth=1,
            alpha=0.9,
            label=f"{short(name)} (n = {point['n']}, asks {point['request_rate']:.0%})",
        )
    axes.set_xlabel("visual tokens shown, as a share of every original shown once")
    axes.set_ylabel("accuracy")
    spreads = [p["interval_95"]["accuracy"] for p in shown.values()]
    low, high = min((s[0] for s in spreads), default=0), max((s[1] for s in spreads), default=1)
    axes.set_ylim(low - 0.05, high + 0.05)
    axes.set_xlim(left=0)
    axes.axvline(1.0, color="0.7", linewidth=1, linestyle=":")
    axes.grid(alpha=0.25)
    axes.set_title(title)
    if shown:
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    else:
        axes.text(0.5, 0.5, "nothing was scored", ha="center", transform=axes.transAxes)
    save(out)


def training_curves(
    series: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]],
    title: str,
    out: Path,
    spreads: Mapping[str, Mapping[str, Sequence[tuple[int, float, float]]]] | None = None,
    *,
    stacked: bool = False,
) -> None:
    """One panel a group of curves over training steps, as ``out`` with .png and .svg.

    Args:
        series: By panel (its y axis) and by curve: (step, value) pairs.
        title: What the plot is of.
        out: The path without its suffix.
        spreads: By panel and curve: (step, low, high) of intervals, where there are any.
        stacked: Panels one below the other, narrow enough for a phone.
    """
    figure, save = new_figure((5.6, 3.2 * len(series)) if stacked else (4.6 * len(series), 3.8))
    shape = (len(series), 1) if stacked else (1, len(series))
    axes = figure.subplots(*shape, squeeze=False).ravel()
    for panel, (label, curves) in zip(axes, series.items(), strict=True):
        for index, (name, points) in enumerate(curves.items()):
            if points:
                steps, values = zip(*points, strict=True)
                colour = COLOURS[index % len(COLOURS)]
                panel.plot(
                    steps, values, label=short(name), color=colour,
                    linestyle=("-", "--", ":")[index // len(COLOURS) % 3], linewidth=1.6,
                )  # fmt: skip
                if spread := (spreads or {}).get(label, {}).get(name):
                    ends = zip(*spread, strict=True)
                    panel.fill_between(*ends, color=colour, alpha=0.15, linewidth=0)
        panel.set_xlabel("training step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
        if len(curves) > 1:
            panel.legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    save(out)


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's values over its steps; curves of one label share a colour."""

    label: str
    values: Sequence[float]


def curve_grid(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]],
    x: str,
    y: str,
    out: Path,
    top: float = 1.0,
) -> None:
    """A grid of panels with curves between 0 and ``top``, as ``out`` with .png and .svg.

    Args:
        panels: Curves by row and by column.
        x: What steps are called.
        y: What values are called.
        out: The path without its suffix.
        top: The largest value.
    """
    columns = list(dict.fromkeys(name for row in panels.values() for name in row))
    figure, save = new_figure((1.2 + 2.6 * max(1, len(columns)), 0.9 + 1.5 * max(1, len(panels))))
    grid = figure.subplots(
        max(1, len(panels)), max(1, len(columns)), sharex=True, sharey=True, squeeze=False
    )
    labels = dict.fromkeys(c.label for row in panels.values() for p in row.values() for c in p)
    colours = dict(zip(labels, COLOURS, strict=False))
    for axes_row, (row, parts) in zip(grid, panels.items(), strict=False):
        axes_row[0].set_ylabel("\n".join([*textwrap.wrap(row, 22), y]), fontsize=8)
        for axes, column in zip(axes_row, columns, strict=True):
            for curve in parts.get(column, ()):
                steps = range(1, len(curve.values) + 1)
                axes.plot(steps, curve.values, color=colours[curve.label], lw=1, alpha=0.75)
            axes.set_ylim(-0.03 * top, 1.03 * top)
            axes.grid(alpha=0.25)
    for axes, column in zip(grid[0], columns, strict=True):
        axes.set_title(column, fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel(x, fontsize=8)
    lines = [figure.axes[0].plot([], [], color=c, label=label)[0] for label, c in colours.items()]
    figure.legend(handles=lines, loc="outside upper center", ncols=len(lines), frameon=False)
    save(out)


def success_grid(
    counts: Mapping[tuple[int, int], int],
    rollouts: int,
    regions: Mapping[str, Callable[[int, int], bool]],
    title: str,
    out: Path,
) -> None:
    """Samples by how often they are right at two resolutions, as ``out`` with .png and .svg.

    Colours are cividis, which colour-blind readers see as others do; every cell has its number.

    Args:
        counts: Samples by (right at the low, right at the full resolution).
        rollouts: At each resolution.
        regions: What is hatched: by its name, whether a cell belongs to it.
        title: What the plot is of.
        out: The path without its suffix.
    """
    figure, save = new_figure((7.4, 5.2))
    from matplotlib.patches import Patch, Rectangle

    axes = figure.add_subplot()
    size = rollouts + 1
    shares = [[math.log1p(counts.get((x, y), 0)) for x in range(size)] for y in range(size)]
    top = max(map(max, shares)) or 1.0
    axes.imshow(shares, origin="lower", cmap="cividis", vmin=0, vmax=top)
    marks = dict(zip(regions, ("//", "\\\\", "..", "xx"), strict=False))
    for y in range(size):
        for x in range(size):
            for name, holds in regions.items():
                if holds(x, y):
                    corner = (x - 0.5, y - 0.5)
                    cell = {"fill": False, "edgecolor": "white", "alpha": 0.6, "linewidth": 0}
                    axes.add_patch(Rectangle(corner, 1, 1, hatch=marks[name], **cell))
            if count := counts.get((x, y), 0):
                ink = "black" if shares[y][x] > 0.6 * top else "white"
                axes.text(x, y, f"{count}", ha="center", va="center", fontsize=8, color=ink)
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f"right of {rollouts} rollouts at the low resolution")
    axes.set_ylabel(f"right of {rollouts} at the full resolution")
    axes.set_title(title)
    keys = [Patch(facecolor="0.5", edgecolor="white", hatch=h, label=n) for n, h in marks.items()]
    axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
    save(out)


def new_figure(size: tuple[float, float]) -> tuple[Any, Callable[[Path], None]]:
    """An empty figure, and what writes it; drawings of the same data are the same bytes."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
        from matplotlib.text import Text
    except ImportError as error:
        raise MissingExtra("matplotlib", "cli", "a plot") from error

    def save(out: Path) -> None:
        for text in figure.findobj(Text):
            text.set_parse_math(False)  # a name may have any characters
        with mpl.rc_context({"svg.hashsalt": "visionthink", "font.size": 10}), catch_warnings():
            filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)  # drawn as boxes
            figure.savefig(out.with_suffix(".png"), dpi=130)
            figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})

    figure = Figure(figsize=size, layout="constrained")
    return figure, save


def _marker(index: int) -> str:
    """A marker that differs from that of the same colour a round before."""
    return MARKERS[(index + index // len(COLOURS)) % len(MARKERS)]


def short(name: str, longest: int = 40) -> str:
    """A name in one short line, cut in the middle; matplotlib hides what begins with ``_``."""
    line = " ".join(name.split())
    tail = longest // 2
    line = line if len(line) <= longest else f"{line[: longest - tail - 1]}…{line[-tail:]}"
    return f" {line}" if line.startswith("_") else line


def arms(value: float, interval: Sequence[float] | None) -> list[list[float]]:
    """How far an interval reaches to either side of a value, as matplotlib's error bars have it."""
    if interval is None:
        return [[0.0], [0.0]]
    return [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]


Bar = tuple[float, Sequence[float] | None]
"""A value and, where it is known, its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Bars:
    """One panel.

    Attributes:
        measure: What bars show, with its unit: the x axis.
        grouping: What questions are grouped by: the y axis.
        groups: By group and policy.
        sizes: Episodes in each group.
        share: Whether values are shares, from 0 to 1.
    """

    measure: str
    grouping: str
    groups: Mapping[str, Mapping[str, Bar]]
    sizes: Mapping[str, int]
    share: bool = False


def grouped_bars(
    panels: Sequence[Bars], order: Sequence[str], title: str, out: Path, *, stacked: bool = False
) -> None:
    """Draw panels beside each other, as ``out`` with .png and .svg.

    Args:
        panels: At least one.
        order: All policies, also those that are not drawn: a policy has the colour of its place.
        title: What the plot is of.
        out: The path without its suffix.
        stacked: One below the other instead, narrow enough for a phone.
    """
    drawn = {name for panel in panels for group in panel.groups.values() for name in group}
    names = [name for name in order if name in drawn]
    rows = max(len(panel.groups) for panel in panels)
    thick = max(0.30, 0.17 * len(names) + 0.12)
    high, shape = thick * rows, (len(panels), 1) if stacked else (1, len(panels))
    size = (5.6, 1.0 + (0.8 + high) * len(panels)) if stacked else (5.2 * len(panels), 1.5 + high)
    figure, save = new_figure(size if stacked else (max(8.0, size[0]), size[1]))
    grid = figure.subplots(*shape, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=True):
        own = [name for name in names if any(name in group for group in panel.groups.values())]
        height = 0.8 / max(1, len(own))
        for index, name in enumerate(own):
            found = [(i, g[name]) for i, g in enumerate(panel.groups.values()) if name in g]
            reach = [arms(*bar) for _, bar in found]
            colour = order.index(name)
            axes.barh(
                [place - 0.4 + (index + 0.5) * height for place, _ in found],
                [value for _, (value, _) in found],
                height=height,
                xerr=[[side[0] for side in sides] for sides in zip(*reach, strict=True)] or None,
                error_kw={"elinewidth": 1, "alpha": 0.7},
                color=COLOURS[colour % len(COLOURS)],
                hatch=("", "//", "..")[colour // len(COLOURS) % 3],
                edgecolor="white",
                label=short(name),
            )
        axes.set_yticks(
            range(len(panel.groups)),
            [f"{short(g, 26) or '(none)'} ({panel.sizes[g]:,})" for g in panel.groups],
        )
        axes.set_ylim(len(panel.groups) - 0.5, -0.5)
        if panel.share:
            axes.set_xlim(0, 1)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(panel.measure)
        axes.set_ylabel(f"{panel.grouping} (episodes)")
        axes.grid(alpha=0.25, axis="x")
    figure.suptitle(title, fontsize=11)
    if len(names) > 1:
        found = {
            label: handle
            for axes in figure.axes
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            found.values(), found.keys(), loc="outside lower center",
            ncols=min(2 if stacked else 4, len(names)), frameon=False, fontsize=8,
        )  # fmt: skip
    save(out)
