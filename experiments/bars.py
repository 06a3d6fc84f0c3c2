"""Bars side by side: a panel a number, a line a group of questions, a bar a policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.plots import COLOURS, arms, new_figure, short

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


def grouped_bars(panels: Sequence[Bars], order: Sequence[str], title: str, out: Path) -> None:
    """Draw panels beside each other, as ``out`` with .png and .svg.

    Args:
        panels: At least one.
        order: All policies, also those that are not drawn: a policy has the colour of its place.
        title: What the plot is of.
        out: The path without its suffix.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    drawn = {name for panel in panels for group in panel.groups.values() for name in group}
    names = [name for name in order if name in drawn]
    rows = max(len(panel.groups) for panel in panels)
    thick = max(0.30, 0.17 * len(names) + 0.12)
    figure, save = new_figure((max(8.0, 5.2 * len(panels)), 1.5 + thick * rows))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        height = 0.8 / max(1, len(names))
        for index, name in enumerate(names):
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
            found.values(), found.keys(), loc="outside lower center", ncols=min(4, len(names)),
            frameon=False, fontsize=8,
        )  # fmt: skip
    save(out)
