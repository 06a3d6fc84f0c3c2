"""``vt report``: one page about what other commands left."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from experiments.commands.options import console, natural, need_rich, positive
from experiments.files import check_folders, new_file
from experiments.parsing import Parser, option
from experiments.report import EPISODES, PICTURES, ReportConfig, make_report
from experiments.report.page import files_of, is_page
from experiments.report.tracked import track
from trainers.wandb_view import MODES
from vt_env import ConfigError

DESCRIPTION = """\
Write one HTML file about the results of vt eval, vt train or vt demo: numbers, plots, and a gallery
of episodes with their pictures. It needs no other file and no network.
"""
EPILOG = """\
Beside FILE the plots are written too, as FILE-accuracy, FILE-requests, FILE-costs,
FILE-diagnosis, FILE-checkpoints and FILE-training, each .png and .svg. A link FILE#ID leads to the
episode of a sample.
"""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "DIR", "results", Path, nargs="+", dest="folders")
    option(parser, "--out FILE", "the page (default: report.html in the first DIR)", Path)
    option(parser, "--overwrite", "replace a report that is there already")
    option(parser, "--title TEXT", "the page's heading (default: the DIRs' names)", default="")
    option(parser, "--data SOURCE",
           "where pictures come from (default: the data that the results name)")  # fmt: skip
    option(parser, "--pictures N",
           "pictures that the page holds at most; 0: none", natural, PICTURES)  # fmt: skip
    option(parser, "--episodes N",
           "episodes that the page holds at most, of all policies", positive, EPISODES)  # fmt: skip
    option(parser, "--wandb",
           "show tables and plots in Weights & Biases too", list(MODES), "off")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Write, and say what was left out."""
    need_rich()
    check_folders(arguments.folders)
    out = arguments.out or arguments.folders[0] / "report.html"
    there = [path for path in files_of(out) if os.path.lexists(path)]
    if there and there[0] != out:
        raise ConfigError(
            f"{there[0]} is there, and no report {out} that it would be of; choose another --out"
        )
    new_file(out, "report", arguments.overwrite, is_page)
    config = ReportConfig(
        title=arguments.title,
        data=arguments.data,
        pictures=arguments.pictures,
        episodes=arguments.episodes,
    )
    report = make_report(arguments.folders, out, config)
    screen = console()
    for note in report.notes:
        screen.say(f"note: {note}")
    if track(report, arguments.wandb, "visionthink-gym", report.title, out.parent):
        screen.say(f"in W&B, too: {out.parent / 'wandb'}")
    screen.say(f"open {report.page} ({report.page.stat().st_size / 2**20:.1f} MiB)")
