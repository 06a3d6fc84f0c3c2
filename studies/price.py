"""``python -m studies.price``: what a policy learns to do as visual tokens become dearer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from experiments import study as studies
from experiments.commands.options import console, positive
from experiments.commands.study import carry_out
from experiments.files import write_json
from experiments.parsing import Parser
from experiments.plots import COLOURS, new_figure
from experiments.provenance import provenance
from experiments.tables import Column, Table
from experiments.terminal import one_line
from studies.prices import Exam, played, recipe_of, result
from vt_env import VisionThinkError, make_judge

DESCRIPTION = """\
Train a small policy at several prices of a visual token, and compare each, on the recipe's
data.validation, with what could be had for as many tokens: by an oracle, by what can be seen, by a
coin. An hour or two on two cores.
"""
EPILOG = """\
In DIR: result.json, plot.png, plot.svg, and the runs as vt study leaves them. What is done already
in DIR is not done again, so that a study can be interrupted, or get more seeds and prices.
"""


KIND = "frontier"
OWNS = ("result.json", "plot.png", "plot.svg")


def parser() -> Parser:
    """The program's options."""
    made = Parser(
        prog="python -m studies.price",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("study", metavar="STUDY", help="a study over reward.token_price, as price, or a file")
    add("--out", required=True, type=Path, metavar="DIR", help="where results go")
    add("--samples", type=positive, default=2000, metavar="N", help="test pictures (default: 2000)")
    add("--rollouts", type=positive, default=8, metavar="K",
        help="of each picture freely and in each arm; even (default: 8)")  # fmt: skip
    add("--jobs", type=positive, default=2, metavar="N", help="runs at once (default: 2)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Do what is left to do, and compare.

    Returns:
        The exit code: 0, or 2 for wrong input.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(words)
    try:
        run(arguments, words)
    except VisionThinkError as error:
        print(f"price: {one_line(error)}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def run(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """Train, play, compare."""
    torch.set_num_threads(1)  # a model this small is slower on two, and one gives equal runs
    study, out = studies.load_study(arguments.study), arguments.out
    every = studies.runs(study, out)
    recipes = [recipe_of(study, run) for run in every]
    exam = Exam(recipes[0].data.validation or "", arguments.samples, arguments.rollouts)
    judges = {recipe.environment.judge for recipe in recipes}
    noise = max(float(getattr(make_judge(judge), "rate", 0.0)) for judge in judges)
    with studies.folder(study, KIND, out, OWNS, {"words": [list(words)]}) as results:
        carry_out(study, out, arguments.jobs)
        _compare(study, out, exam, noise)
        results.finish()


def _compare(study: studies.Study, out: Path, exam: Exam, noise: float) -> None:
    """Play every policy, write, show."""
    every = studies.runs(study, out)
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
    for seed, cell in found["seeds"].items():
        screen.show(_table(seed, cell["policies"]))
    screen.print(f"in {out}", soft_wrap=True)


def _table(seed: str, policies: Sequence[Mapping[str, Any]]) -> Table:
    """A line a price: tokens beside those of the rule by what is seen, and what references gain.

    A gain is accuracy that a reference has more at the policy's number of tokens.
    """
    references = list(policies[0]["gap"])
    heads = [Column("price", "g"), Column("accuracy", ".3f"), Column("tokens", ".3f")]
    heads += [Column("at that price", ".3f"), *(Column(f"{name} -") for name in references)]
    rows = [
        [
            *(policy[name] for name in ("price", "accuracy", "tokens")),
            policy["at_price"]["visible"]["tokens"],
            *(f"{more:+.3f} ± {half:.3f}" for more, half in policy["gap"].values()),
        ]
        for policy in policies
    ]
    return Table(f"seed {seed}, temperature 1", heads, rows)


def frontiers(seeds: Mapping[str, Mapping[str, Any]], title: str, out: Path) -> None:
    """A panel a seed: policies beside their references, as ``out`` with .png and .svg.

    Args:
        seeds: By seed, what :func:`studies.prices.compared` says.
        title: What the plot is of.
        out: The path without its suffix.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    figure, save = new_figure((1.0 + 4.4 * len(seeds), 4.4))
    panels = figure.subplots(1, len(seeds), squeeze=False, sharey=True)[0]
    for axes, (seed, found) in zip(panels, seeds.items(), strict=True):
        ends = found["arms"]
        lines = {
            "oracle: each question's own success rates": found["curves"]["oracle"],
            "the same by what can be seen": found["curves"]["visible"],
            "a coin": {
                "tokens": [ends["low_tokens"], ends["high_tokens"]],
                "accuracy": [ends["accuracy_low"], ends["accuracy_high"]],
            },
        }
        for (name, line), style, colour in zip(
            lines.items(), ("-", "--", ":"), COLOURS[:3], strict=True
        ):
            axes.plot(line["tokens"], line["accuracy"], style, color=colour, label=name)
        policies = found["policies"]
        x, y = [p["tokens"] for p in policies], [p["accuracy"] for p in policies]
        axes.plot(x, y, "o", color="black", markersize=6, label="trained at the price λ")
        for policy in policies:
            axes.annotate(
                f"{policy['price']:g}", (policy["tokens"], policy["accuracy"]),
                xytext=(4, -11), textcoords="offset points", fontsize=8,
            )  # fmt: skip
        axes.set_title(f"seed {seed}", fontsize=10)
        axes.set_xlabel("visual tokens, as a share of every original shown once")
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("accuracy, at temperature 1")
    panels[-1].legend(fontsize=8, frameon=False, loc="lower right")
    figure.suptitle(title, fontsize=11)
    save(out)


if __name__ == "__main__":
    sys.exit(main())
