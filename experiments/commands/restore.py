"""``vt restore``: earlier results back, in the place of unfinished ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.commands.options import console
from experiments.files import check_folders
from experiments.parsing import Parser, option
from trainers.results import restore
from vt_env import ConfigError


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = (
        "Put the results back that an --overwrite was to replace and has not finished. What there "
        "is of the new ones is deleted; files that no command of vt made stay as they are."
    )
    option(parser, "DIR", "a folder of results", Path, dest="out")


def run(arguments: argparse.Namespace) -> None:
    """Put them back."""
    check_folders([arguments.out])
    if not restore(arguments.out):
        raise ConfigError(f"{arguments.out} has no earlier results: nothing is to be put back")
    console().say(f"the earlier results are back in {arguments.out}")
