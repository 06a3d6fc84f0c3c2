"""Plots. Colours are Okabe and Ito's, which colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vt_env import MissingExtra

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^DvPX"


def accuracy_against_tokens(points: Mapping[str, Mapping[str, Any]], title: str, out: Path) -> None:
    """One point with 95 % intervals for each result, as ``out`` with .png and .svg.

    Args:
        points: Results as in ``result.json``, by the name that the legend shows; those without
            an accuracy are left out.
        title: What the plot is of.
        out: The path without its suffix.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "cli", "a plot") from error
    with mpl.rc_context({"svg.hashsalt": "visionthink", "font.size": 10}):
        figure = Figure(figsize=(9.2, 4.6), layout="constrained")
        axes = figure.add_subplot()
        shown = {name: p for name, p in points.items() if p["accuracy"] is not None}
        for index, (name, point) in enumerate(shown.items()):
            x, y = point["token_ratio"], point["accuracy"]
            spread = point["interval_95"]
            axes.errorbar(
                x,
                y,
                xerr=_arms(x, spread["token_ratio"]),
                yerr=_arms(y, spread["accuracy"]),
                fmt=MARKERS[index % len(MARKERS)],
                color=COLOURS[index % len(COLOURS)],
                markersize=8,
                elinewidth=1,
                alpha=0.9,
                label=f"{name} (n = {point['n']}, asks {point['request_rate']:.0%})",
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
        axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
        figure.savefig(out.with_suffix(".png"), dpi=130)
        figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})


def _arms(value: float, interval: list[float]) -> list[list[float]]:
    return [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]
