"""``vt train``: learn from a recipe."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.commands.options import console
from experiments.files import results_folder, write_json
from experiments.provenance import provenance
from experiments.recipe import SNAPSHOT, load_recipe, recipe_names, write_snapshot
from experiments.report import make_report
from experiments.report.tracked import track
from trainers import (
    Progress,
    TrainConfig,
    Trainer,
    TrainResult,
    choose_trainer,
    make_trainer,
)
from trainers.runs import CHECKPOINTS
from trainers.tracking import EPISODES, LOG
from trainers.wandb_view import wanted_mode
from vt_env import ConfigError

DESCRIPTION = f"""\
Train a policy as a recipe says: a TOML file, or a shipped one by its name. Any setting can be
replaced on the command line, as in optimiser.learning_rate=1e-5.

recipes: {", ".join(recipe_names())}
"""
EPILOG = """\
With trainer=auto (the default) OpenRLHF trains where it is installed and there is a GPU, else this
process does.

In DIR: metrics.jsonl (a line a step), episodes.jsonl (examples), recipe.toml (every setting, a
recipe itself), checkpoint/step-…/model (loads in stock transformers) and, at the end, result.json.
A run that was interrupted goes on with `vt train --resume --out DIR`, bit for bit on a CPU. Its
settings are those in DIR/recipe.toml unless a RECIPE is named, which must then be the same run's;
only steps, evaluation, checkpoint, tracking and optimiser may change.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a policy as a recipe says",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe's name or file")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="replace a setting")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    group.add_argument("--overwrite", action="store_true", help="delete the run in DIR first")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="trainer=openrlhf or verl: write all that a run needs and the script that starts it",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, write, show."""
    if arguments.resume and not (arguments.out / SNAPSHOT).is_file():
        raise ConfigError(f"there is no run to resume in {arguments.out}: it has no {SNAPSHOT}")
    config = _with_trainer(_recipe(arguments))
    trainer = make_trainer(config.trainer)
    out = results_folder(arguments.out, arguments.overwrite or arguments.resume)
    if not arguments.resume:
        _clear(out, arguments.overwrite)
    if not arguments.resume:  # else the trainer says first whether it goes on with these settings
        write_snapshot(out / SNAPSHOT, config)
    if arguments.prepare:
        _prepare(trainer, config, out, arguments.resume)
        return
    with _shown(config) as progress:
        result = trainer.train(config, out, resume=arguments.resume, progress=progress)
    write_snapshot(out / SNAPSHOT, config)
    write_json(out / "result.json", _summary(config, result, out))
    _say(result, out)
    if wanted_mode(config.tracking.wandb) != "off":
        report = make_report([out], out / "report.html")
        track(report, config.tracking.wandb, config.tracking.project, config.name, out)


def _recipe(arguments: argparse.Namespace) -> TrainConfig:
    """The recipe that is named; when resuming without one, the run's own."""
    recipe, settings = arguments.recipe, arguments.settings
    if recipe and "=" in recipe and not Path(recipe).exists():
        recipe, settings = None, [recipe, *settings]
    if recipe is None and not arguments.resume:
        raise ConfigError(f"name a recipe: a file, or one of {', '.join(recipe_names())}")
    return load_recipe(arguments.out / SNAPSHOT if recipe is None else recipe, settings)


def _with_trainer(config: TrainConfig) -> TrainConfig:
    """The recipe with the trainer that ``auto`` stands for, which is said."""
    name, why = choose_trainer(config.trainer)
    if config.trainer == "auto":
        console(stderr=True).print(f"trainer: {name}, since {why}", soft_wrap=True)
    return replace(config, trainer=name)


def _prepare(trainer: Trainer, config: TrainConfig, out: Path, resume: bool) -> None:
    """Write what a run needs, and say how to start it."""
    prepare = getattr(trainer, "prepare", None)
    if prepare is None:
        raise ConfigError(
            f"--prepare is for trainer=openrlhf or verl; {config.trainer!r} runs in this process"
        )
    script = prepare(config, out, resume=resume)
    console().print(f"Start it, on the head of the Ray cluster, with:\n{script}", soft_wrap=True)


def _clear(out: Path, overwrite: bool) -> None:
    """Nothing is trained on top of another run by accident."""
    if overwrite:
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        for name in (LOG, EPISODES, SNAPSHOT, "result.json"):
            (out / name).unlink(missing_ok=True)
    elif (out / LOG).exists():
        raise ConfigError(f"{out} holds a run already; add --resume or --overwrite")


def _summary(config: TrainConfig, result: TrainResult, out: Path) -> dict[str, Any]:
    def relative(path: Path | None) -> str | None:
        return None if path is None else path.relative_to(out).as_posix()

    return {
        "recipe": config.name,
        "trainer": config.trainer,
        "steps": result.steps,
        "evaluation": {k.removeprefix("eval/"): v for k, v in result.evaluation.items()},
        "checkpoint": relative(result.checkpoint),
        "best": relative(result.best),
        "settings": asdict(config),
        "provenance": provenance(config.seed, result.fingerprints.get("train", "")),
        "fingerprints": dict(result.fingerprints),
    }


@contextmanager
def _shown(config: TrainConfig) -> Iterator[Progress]:
    """A progress bar with rate and time left; a line for every evaluation, also into a file."""
    from rich.logging import RichHandler
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    screen = console(stderr=True)
    handler = RichHandler(console=screen, show_path=False, show_time=False)
    logging.getLogger("trainers").addHandler(handler)
    columns = (
        TextColumn(config.name),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    try:
        with Bar(*columns, console=screen, transient=True) as bar:
            task = bar.add_task("", total=config.steps, start=False, rate="", numbers="")

            def progress(step: int, metrics: Mapping[str, float | None]) -> None:
                if not bar.tasks[0].started:  # steps before a resume say nothing of the rate
                    bar.reset(task, completed=step - 1)
                rate = f"{metrics.get('time/step') or 0:.2f} s/step"
                bar.update(task, completed=step, rate=rate, numbers=_line(metrics, _WATCHED))
                if "eval/accuracy" in metrics:
                    bar.console.print(f"step {step}: {_line(metrics, _MEASURED)}")

            yield progress
    finally:
        logging.getLogger("trainers").removeHandler(handler)


_WATCHED = {
    "reward": "reward/mean",
    "accuracy": "env/accuracy",
    "asks": "rollout/request_rate",
    "no signal": "reward/groups_without_signal",
}
_MEASURED = {
    "accuracy": "eval/accuracy",
    "asks": "eval/request_rate",
    "tokens": "eval/token_ratio",
    "format": "eval/well_formed",
}


def _line(metrics: Mapping[str, float | None], names: Mapping[str, str]) -> str:
    found = {short: metrics.get(name) for short, name in names.items()}
    return "  ".join(f"{short} {v:.3f}" for short, v in found.items() if v is not None)


def _say(result: TrainResult, out: Path) -> None:
    screen = console()
    if numbers := _line(result.evaluation, _MEASURED):
        screen.print(f"validation: {numbers}")
    screen.print(f"{result.steps} steps; the last model: {result.checkpoint}", soft_wrap=True)
    if result.best and result.best != result.checkpoint:
        screen.print(f"the best on the validation split: {result.best}", soft_wrap=True)
    screen.print(f"in {out}", soft_wrap=True)
