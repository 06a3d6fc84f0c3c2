"""``vt frontier``: what a policy learns to do as visual tokens become dearer."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from experiments.commands.options import console, positive
from experiments.files import results_folder, write_json
from experiments.plots import frontiers
from experiments.provenance import provenance
from vt_env import MissingExtra

PRICES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)

DESCRIPTION = """\
Train a tiny policy at several prices of a visual token, and compare each with what could be had for
as many tokens: by an oracle, by what can be seen, by a coin. An hour or two on two cores.
"""
EPILOG = """\
In DIR: result.json, plot.png, plot.svg, and for each seed the warm-up and the runs. What is done
already in DIR is not done again, so that a study can be interrupted, or get more seeds and prices.
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
        "settings", nargs="*", metavar="KEY=VALUE", help="replace a recipe's setting"
    )
    parser.add_argument("--recipe", default="price", metavar="RECIPE", help="(default: price)")
    parser.add_argument("--out", type=Path, default=Path("runs/price"), metavar="DIR")
    parser.add_argument(
        "--price",
        type=float,
        action="append",
        metavar="P",
        help=f"several are possible (default: {', '.join(f'{p:g}' for p in PRICES)})",
    )
    parser.add_argument(
        "--seed", type=int, action="append", metavar="S", help="several are possible (default: 0)"
    )
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
    parser.add_argument("--overwrite", action="store_true", help="begin anew")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Do what is left to do, and compare."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train", "training") from error
    from experiments.prices import PriceStudy, result, run_study
    from experiments.recipe import load_recipe

    torch.set_num_threads(1)  # a model this small is slower on two, and one gives equal runs
    seeds = list(dict.fromkeys(arguments.seed or [0]))
    study = PriceStudy(
        load_recipe(arguments.recipe, arguments.settings),
        sorted(set(arguments.price or PRICES)),
        seeds,
        arguments.samples,
        arguments.rollouts,
    )
    if arguments.overwrite:
        for seed in seeds:
            shutil.rmtree(arguments.out / f"seed-{seed}", ignore_errors=True)
    out = results_folder(arguments.out, overwrite=True)
    screen = console()
    played = run_study(study, out, lambda line: screen.print(line, soft_wrap=True))
    found = result(study, played)
    found["provenance"] = provenance(seeds[0], study.test.fingerprint())
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
