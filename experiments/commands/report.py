"""``vt report``: one page about what other commands left."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from experiments.commands.options import console, positive
from experiments.report import EPISODES, PICTURES, ReportConfig, make_report
from experiments.report.tracked import track
from trainers.wandb_view import MODES

DESCRIPTION = """\
Write one HTML file about the results of vt eval, vt train or vt demo: numbers, plots, and a gallery
of episodes with their pictures. It needs no other file and no network.
"""
EPILOG = """\
Beside FILE the plots are written too, as FILE-accuracy, FILE-requests, FILE-costs and
FILE-training, each .png and .svg. A link FILE#ID leads to the episode of a sample.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="one page about results: numbers, plots, episodes",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="results")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: report.html in the first DIR)"
    )
    parser.add_argument("--title", default="", help="the page's heading (default: the DIRs' names)")
    parser.add_argument(
        "--data",
        metavar="SOURCE",
        help="where pictures come from (default: the data that the results name)",
    )
    parser.add_argument(
        "--pictures",
        type=_count,
        default=PICTURES,
        metavar="N",
        help=f"pictures that the page holds at most; 0: none (default: {PICTURES})",
    )
    parser.add_argument(
        "--episodes",
        type=positive,
        default=EPISODES,
        metavar="N",
        help=f"episodes that the page holds at most, of all policies (default: {EPISODES})",
    )
    parser.add_argument(
        "--wandb",
        default="off",
        choices=MODES,
        help="show tables and plots in Weights & Biases too (default: off)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Write, and say what was left out."""
    out = arguments.out or arguments.folders[0] / "report.html"
    config = ReportConfig(
        title=arguments.title,
        data=arguments.data,
        pictures=arguments.pictures,
        episodes=arguments.episodes,
    )
    report = make_report(arguments.folders, out, config)
    screen = console()
    for note in report.content.notes:
        screen.print(f"note: {note}", soft_wrap=True, markup=False)
    if track(report, arguments.wandb, "visionthink-gym", report.content.title, out.parent):
        screen.print(f"in W&B, too: {out.parent / 'wandb'}", soft_wrap=True)
    size = report.page.stat().st_size / 2**20
    screen.print(f"open {report.page} ({size:.1f} MiB)", soft_wrap=True)


def _count(text: str) -> int:
    """A whole number of at least 0, for argparse."""
    return 0 if text == "0" else positive(text)
