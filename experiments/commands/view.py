"""``vt view``: the report of a run that goes on, in a browser."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.commands.options import console, natural, need_rich, positive
from experiments.parsing import Parser, option
from experiments.report import ReportConfig
from experiments.report.live import Live
from experiments.site import Site

DESCRIPTION = """\
Serve the page of vt report while results come in: episodes of a training run or an evaluation as
they are played. Only this machine can read it, and only with the address that is printed; nothing
can be changed there. Stop with Ctrl-C.
"""
EPISODES, PICTURES = 10_000, 10_000


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    parser.epilog = "Example: vt view runs/laptop"
    option(parser, "DIR", "results", Path, nargs="+", dest="folders")
    option(parser, "--port PORT", "0 takes a free one", natural, 0)
    option(parser, "--title TEXT", "the page's heading (default: the DIRs' names)", default="")
    option(parser, "--data SOURCE",
           "where pictures come from (default: the data that the results name)")  # fmt: skip
    option(parser, "--episodes N",
           "episodes that the page holds at most, of all policies", positive, EPISODES)  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted."""
    need_rich()
    config = ReportConfig(
        title=arguments.title,
        data=arguments.data,
        pictures=PICTURES,
        episodes=arguments.episodes,
    )
    live = Live(arguments.folders, config)
    with Site.at(arguments.port, live.get) as site:
        console().say(f"open {site.url}\nstop with Ctrl-C")
        site.serve()
