"""``vt train``: learn from a recipe."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.commands.options import (
    add_folder_options,
    console,
    logged_on,
    mode_of,
    recall,
    refuse_own,
    told,
)
from experiments.files import json_object, write_json
from experiments.parsing import Parser, option
from experiments.provenance import provenance
from experiments.recipe import load_recipe, read_snapshot, recipe_names, toml_of, write_snapshot
from trainers import (
    Progress,
    TrainConfig,
    Trainer,
    TrainResult,
    check_settings,
    choose_trainer,
    make_trainer,
)
from trainers.files import MANIFEST
from trainers.results import Results, Stamp, look
from trainers.runs import (
    CHECKPOINTS,
    KIND,
    PREFLIGHT,
    SNAPSHOT,
    check_model,
    check_start,
    record_of_preflight,
    run_folder,
)
from trainers.wandb_view import wanted_mode
from vt_env import ConfigError

DESCRIPTION = f"""\
Train a policy as a recipe says: a TOML file, or a shipped one by its name. Any setting can be
replaced on the command line, as in optimiser.learning_rate=1e-5; vt list keys names them all.

recipes: {", ".join(recipe_names())}
"""
EPILOG = """\
With trainer=auto (the default) OpenRLHF trains where it is installed and there is a GPU, else this
process does.

In DIR: metrics.jsonl (a line a step), episodes.jsonl (examples), recipe.toml (every setting, a
recipe itself), checkpoint/step-…/model (loads in stock transformers) and, at the end, result.json.
A run that was interrupted goes on with `vt train --resume --out DIR`, bit for bit on a CPU. Its
settings are those in DIR/recipe.toml unless a RECIPE is named, which must then be the same run's;
what shapes the learning must stay; how long, where and how fast may change, and the optimiser where
the trainer can apply it (trainer=local).
"""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "RECIPE", "a recipe's name or file", nargs="?")
    option(parser, "KEY=VALUE", "replace a setting", nargs="*", dest="settings")
    option(parser, "--out DIR", "where results go", Path)
    add_folder_options(parser, "run")
    option(parser, "--print-config", "write every setting that the recipe comes to, and stop")
    option(parser, "--prepare",
           "trainer=openrlhf or verl: write all that a run needs and the script that starts it",
           )  # fmt: skip
    check = parser.add_argument_group("before a machine is paid for")
    option(check, "--check", "look at the run in five stages, start nothing, and say what to do")
    option(check, "--stages N", "of --check: 1 without a machine, 2 arithmetic, 3 the cluster, "
           "4 a rehearsal of one step", int, 4, choices=range(1, 5))  # fmt: skip
    option(check, "--gpu NAME", "of --check: such as H100 or A100; without, what is found here")
    option(check, "--price X", "of --check: of a GPU for an hour, in any currency", float)


def run(arguments: argparse.Namespace) -> None:
    """Train, write, show."""
    out, mode = arguments.out, mode_of(arguments)
    if arguments.print_config:
        sys.stdout.write(toml_of(_recipe(arguments, None)))
        return
    if out is None:
        raise ConfigError("the following arguments are required: --out")
    config = _with_trainer(_recipe(arguments, look(out, KIND, mode)))
    if arguments.check:
        try:
            from experiments.commands.check import check
        except ImportError as error:
            first: BaseException = error  # transformers tells only of its own module
            while first.__cause__ is not None:
                first = first.__cause__
            raise ConfigError(
                f"--check needs torch and transformers, which cannot be imported: {first}"
            ) from error
        check(arguments, config)
        return
    trainer = make_trainer(config.trainer)
    check_settings(trainer, config)
    check_model(config)
    if arguments.prepare and not hasattr(trainer, "prepare"):
        raise ConfigError(
            f"--prepare is for trainer=openrlhf or verl; {config.trainer!r} runs in this process"
        )
    if arguments.overwrite:
        read = (config.model.path, config.data.train, config.data.validation)
        refuse_own(arguments, *read, config.environment.prompt)
        check_start(config)
    with run_folder(out, mode, told(arguments)) as results:
        if not arguments.resume:  # else the trainer says first whether it goes on with these
            write_snapshot(out, config)
            _keep_preflight(out, config)
        if arguments.prepare:
            _prepare(trainer, config, out, arguments.resume)
        else:
            _train(trainer, config, results, arguments.resume)
            results.finish()


def _train(trainer: Trainer, config: TrainConfig, results: Results, resume: bool) -> None:
    """Train, write, show."""
    out = results.out
    with training_bar(config.name, config.steps) as shown:

        def progress(step: int, metrics: Mapping[str, float | None]) -> None:
            if any((out / CHECKPOINTS).glob(f"step-*/{MANIFEST}")):
                results.whole()
            shown(step, metrics)

        result = trainer.train(config, out, resume=resume, progress=progress)
    write_snapshot(out, config)
    write_json(out / "result.json", _summary(config, result, out))
    _say(result, out)
    if wanted_mode(config.tracking.wandb) != "off":
        from experiments.report import make_report
        from experiments.report.tracked import track

        report = make_report([out], out / "report.html")
        track(report, config.tracking.wandb, config.tracking.project, config.name, out)


def _recipe(arguments: argparse.Namespace, stamp: Stamp | None) -> TrainConfig:
    """The recipe that is named; when resuming without one, the run's own."""
    recipe, settings = arguments.recipe, arguments.settings
    if recipe and "=" in recipe and not Path(recipe).exists():
        recipe, settings = None, [recipe, *settings]
    if recipe is None and stamp is not None and arguments.resume:
        if (arguments.out / SNAPSHOT).exists():
            return read_snapshot(arguments.out, settings)
        arguments.recipe, arguments.settings = None, settings
        arguments.given -= {"recipe"}
        recall(arguments, stamp)  # killed before anything was written
        recipe, settings = arguments.recipe, arguments.settings
    if recipe is None:
        raise ConfigError(f"name a recipe: a file, or one of {', '.join(recipe_names())}")
    return load_recipe(recipe, settings)


def _with_trainer(config: TrainConfig) -> TrainConfig:
    """The recipe with the trainer that ``auto`` stands for, which is said."""
    name, why = choose_trainer(config.trainer)
    if config.trainer == "auto":
        console(stderr=True).say(f"trainer: {name}, since {why}")
    return replace(config, trainer=name)


def _keep_preflight(out: Path, config: TrainConfig) -> None:
    """Put what a preflight found of these very settings into the run's folder."""
    record = record_of_preflight(out)
    if not record.is_file():
        return
    if json_object(record).get("settings") == json.loads(json.dumps(asdict(config))):
        shutil.copyfile(record, out / PREFLIGHT)
    else:
        console(stderr=True).say(f"{record} is of other settings, so it is left where it is")


def _prepare(trainer: Trainer, config: TrainConfig, out: Path, resume: bool) -> None:
    """Write what a run needs, and say how to start it."""
    with logged_on(console(stderr=True)):
        script = trainer.prepare(config, out, resume=resume)  # pyright: ignore[reportAttributeAccessIssue]
    console().say(f"Start it, on the head of the Ray cluster, with:\n{script}")


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
def training_bar(name: str, steps: int | None) -> Iterator[Progress]:
    """A progress bar with numbers and time left; a line for every evaluation, also into a file."""
    console()
    from experiments.screen import progress_bar

    with progress_bar(name, steps) as bar, logged_on(bar.screen):

        def progress(step: int, metrics: Mapping[str, float | None]) -> None:
            bar(step, numbers=_line(metrics, _WATCHED))
            if "eval/accuracy" in metrics:
                bar.screen.say(f"step {step}: {_line(metrics, _MEASURED)}")

        yield progress


_WATCHED = {
    "loss": "loss",
    "reward": "reward/mean",
    "accuracy": "env/accuracy",
    "asks": "rollout/request_rate",
    "no signal": "reward/groups_without_signal",
    "s/step": "time/step",
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
        screen.say(f"validation: {numbers}")
    screen.say(f"{result.steps} steps; the last model: {result.checkpoint}")
    if result.best and result.best != result.checkpoint:
        screen.say(f"the best on the validation split: {result.best}")
    screen.say(f"in {out}")
