"""``vt demo``: from nothing to a trained policy and a report, on a laptop."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.commands.options import console, positive
from experiments.files import results_folder
from experiments.policies import NAMES
from experiments.provenance import provenance
from experiments.tables import result_table
from vt_env import MissingExtra, open_source

DESCRIPTION = """\
Train a tiny vision-language model on drawn pictures to ask for the original only where it needs
it, and compare it with the policies it has to beat. Minutes on two cores; no network, no GPU.
"""
EPILOG = """\
In DIR: report.html (open it), result.json (every policy's accuracy, request rate, visual tokens,
also by kind of question), plots, train/ (log and checkpoint), policies/ (every episode).
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="train and compare a tiny policy in minutes",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="replace a recipe's setting"
    )
    parser.add_argument("--recipe", default="laptop", metavar="RECIPE", help="(default: laptop)")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="DIR")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument(
        "--warmup-steps",
        type=positive,
        metavar="N",
        help="steps of each part of the warm-up (default: 350 of seeing, 900 of speaking)",
    )
    parser.add_argument(
        "--samples", type=positive, default=2000, metavar="N", help="test pictures (default: 2000)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that are in DIR")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Do all of it."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train", "training") from error
    from experiments import demo
    from experiments.recipe import load_recipe

    torch.set_num_threads(1)  # a model this small is slower on two, and one gives equal runs
    config = demo.DemoConfig(
        load_recipe(arguments.recipe, arguments.settings),
        arguments.warmup_steps,
        arguments.samples,
        arguments.seed,
    )
    out = results_folder(arguments.out, arguments.overwrite)
    for part in ("train", "warmup", "policies"):
        shutil.rmtree(out / part, ignore_errors=True)
    with _bar("warm-up", demo.warmup_of(config).total_steps) as progress:
        start = demo.warm(config, out, progress)
    with _bar("reinforcement", config.recipe.steps) as progress:
        model = demo.train(config, out, start, progress)
    with _bar("comparison", len(NAMES) + 1) as progress:
        judged = demo.judge_policies(config, out, start, model, progress)
    origin = provenance(config.seed, open_source(config.test).fingerprint())
    demo.report(config, out, judged, origin)
    screen = console()
    screen.print(result_table("policy", f"test split, seed {config.seed}", judged.results))
    screen.print("\n".join(["missed:", *judged.missed]) if judged.missed else "all targets reached")
    screen.print(f"open {out / 'report.html'}", soft_wrap=True)


@contextmanager
def _bar(name: str, total: int) -> Iterator[Any]:
    """A progress bar with the time left and the last numbers; a line when it is done."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(name, total=total, numbers="")

        def told(step: int, numbers: Mapping[str, float | None]) -> None:
            shown = {"loss": "loss", "reward/mean": "reward", "rollout/request_rate": "asks"}
            parts = [
                f"{short} {value:.2f}"
                for key, short in shown.items()
                if (value := numbers.get(key)) is not None
            ]
            bar.update(task, completed=step, numbers="  ".join(parts))

        yield told
