"""``vt doctor``: what is installed here, and what stands in its way; see :mod:`vt_env.doctor`."""

from __future__ import annotations

import argparse

from experiments.parsing import Parser
from vt_env import doctor


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = (
        "Look at the packages' import names, at the command vt, and at what the extras need.\n"
        "python -m vt_env.doctor does the same where vt itself does not start."
    )


def run(arguments: argparse.Namespace) -> int:
    """Look, and say; 1 if there is a problem."""
    return doctor.main()
