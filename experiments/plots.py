"""Plots. Colours are Okabe and Ito's, which colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    figure, save = _figure((9.2, 4.6))
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
    save(out)


def training_curves(
    series: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], title: str, out: Path
) -> None:
    """One panel a group of curves over training steps, as ``out`` with .png and .svg.

    Args:
        series: By panel (its y axis) and by curve: (step, value) pairs.
        title: What the plot is of.
        out: The path without its suffix.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure, save = _figure((4.6 * len(series), 3.8))
    axes = figure.subplots(1, len(series), squeeze=False)[0]
    for panel, (label, curves) in zip(axes, series.items(), strict=True):
        for index, (name, points) in enumerate(curves.items()):
            if points:
                steps, values = zip(*points, strict=True)
                panel.plot(
                    steps, values, label=name, color=COLOURS[index % len(COLOURS)],
                    linestyle=("-", "--", ":")[index // len(COLOURS) % 3], linewidth=1.6,
                )  # fmt: skip
        panel.set_xlabel("training step")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
        if len(curves) > 1:
            panel.legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    save(out)


def _figure(size: tuple[float, float]) -> tuple[Any, Callable[[Path], None]]:
    """An empty figure, and what writes it; drawings of the same data are the same bytes.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "cli", "a plot") from error

    def save(out: Path) -> None:
        with mpl.rc_context({"svg.hashsalt": "visionthink", "font.size": 10}):
            figure.savefig(out.with_suffix(".png"), dpi=130)
            figure.savefig(out.with_suffix(".svg"), metadata={"Date": None})

    figure = Figure(figsize=size, layout="constrained")
    return figure, save


def _arms(value: float, interval: list[float]) -> list[list[float]]:
    return [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]
