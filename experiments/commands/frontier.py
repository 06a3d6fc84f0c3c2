"""``vt frontier``: what a policy learns to do as visual tokens become dearer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from experiments import study as studies
from experiments.commands.options import console, positive
from experiments.commands.study import carry_out
from experiments.files import write_json
from experiments.plots import frontiers
from experiments.provenance import provenance
from vt_env import MissingExtra, make_judge

DESCRIPTION = """\
Train a tiny policy at several prices of a visual token, and compare each with what could be had for
as many tokens: by an oracle, by what can be seen, by a coin. An hour or two on two cores.
"""
EPILOG = """\
In DIR: result.json, plot.png, plot.svg, and the runs as vt study leaves them. What is done already
in DIR is not done again, so that a study can be interrupted, or get more seeds and prices.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "frontier",
        help="train at several prices of a visual token, and compare with an oracle",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "study",
        nargs="?",
        default="price",
        metavar="STUDY",
        help="a study over reward.token_price, by its name or file (default: price)",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/price"), metavar="DIR")
    parser.add_argument(
        "--samples", type=positive, default=2000, metavar="N", help="test pictures (default: 2000)"
    )
    parser.add_argument(
        "--rollouts",
        type=positive,
        default=8,
        metavar="K",
        help="of each picture freely and in each arm; even (default: 8)",
    )
    parser.add_argument(
        "--jobs", type=positive, default=2, metavar="N", help="runs at once (default: 2)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Do what is left to do, and compare."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train", "training") from error
    from experiments.prices import Exam, played, recipe_of, result

    torch.set_num_threads(1)  # a model this small is slower on two, and one gives equal runs
    study, out = studies.load_study(arguments.study), arguments.out
    exam = Exam(arguments.samples, arguments.rollouts)
    every = studies.runs(study, out)
    judges = {recipe_of(study, run).environment.judge for run in every}
    noise = max(float(getattr(make_judge(judge), "rate", 0.0)) for judge in judges)
    carry_out(study, out, arguments.jobs)
    screen = console()
    cells: dict[int, dict[float, Any]] = {}
    for done in every:
        cell = played(study, done, exam)
        cells.setdefault(done.seed, {})[done.value or 0.0] = cell
        screen.print(
            f"seed {done.seed}, price {done.value:g}: accuracy {cell['free'].mean():.3f}, "
            f"asks {cell['asked'].mean():.0%}"
        )
    found = result(study, exam, cells, noise)
    found["provenance"] = provenance(study.seeds[0], exam.test.fingerprint())
    write_json(out / "result.json", found)
    frontiers(
        found["seeds"], "Policies trained at a price of visual tokens, test pool", out / "plot"
    )
    for seed, told in found["seeds"].items():
        screen.print(_table(seed, told["policies"]))
    screen.print(f"in {out}", soft_wrap=True)


def _table(seed: str, policies: list[dict[str, Any]]) -> Any:
    """A line a price: tokens beside those of the rule by what is seen, and what references gain.

    A gain is accuracy that a reference has more at the policy's number of tokens.
    """
    from rich.table import Table

    table = Table(title=f"seed {seed}, temperature 1")
    references = list(policies[0]["gap"])
    columns = ("price", "accuracy", "tokens", "at that price", *(f"{r} -" for r in references))
    for header in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for policy in policies:
        gaps = [f"{more:+.3f} ± {half:.3f}" for more, half in policy["gap"].values()]
        best = policy["at_price"]["visible"]["tokens"]
        numbers = [f"{policy[name]:.3f}" for name in ("accuracy", "tokens")] + [f"{best:.3f}"]
        table.add_row(f"{policy['price']:g}", *numbers, *gaps)
    return table
