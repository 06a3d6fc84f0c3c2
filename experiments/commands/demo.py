"""``vt demo``: from nothing to a trained policy and a report, on a laptop.

What is compared and what has to be reached is data: ``demo.toml``.
"""

from __future__ import annotations

import argparse
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.commands.options import (
    add_folder_options,
    console,
    looked,
    mode_of,
    natural,
    need_rich,
    need_torch,
    positive,
    told,
)
from experiments.commands.train import training_bar
from experiments.commands.warmup import losses
from experiments.evaluation.modes import parse_modes
from experiments.evaluation.player import Part, Player, Setup
from experiments.evaluation.result import OWNS as LEAF
from experiments.evaluation.run import Evaluation, Options
from experiments.evaluation.workers import Here
from experiments.files import write_json
from experiments.parsing import Parser, option
from experiments.recipe import load_recipe, typed, write_snapshot
from experiments.report import ReportConfig, make_report
from experiments.report.tracked import track
from experiments.result_tables import legend, results
from experiments.targets import Targets, numbers_of
from trainers import TrainConfig, check_settings, make_trainer
from trainers.errors import Damaged
from trainers.files import check_folder, whole_folder
from trainers.results import begin
from trainers.runs import PAGE, run_folder, within
from vt_env import ConfigError, open_source

DESCRIPTION = """\
Train a tiny vision-language model on drawn pictures to ask for the original only where it needs
it, and compare it with the policies it has to beat. Minutes on two cores; no network, no GPU.
Exit code 1: it missed a target, which is said.
"""
EPILOG = """\
In DIR: report.html (open it), result.json (every mode's accuracy, request rate, visual tokens,
also by kind of question), plots, train/ (log and checkpoint), policies/ (every episode).
"""
ADVICE = """\
What a run reaches depends on its seed, and a little on the processor's vector instructions. Where
the accuracy of full or always-request is low the warm-up has not learnt to read: try another --seed
into another --out. Where only request rates miss, train longer: steps=200."""
KIND = "demo"
WARMUP, TRAIN, POLICIES = "warmup", "train", "policies"
RESULT = "result.json"
BATCH = 256
"""Test pictures at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``demo.toml`` says.

    Attributes:
        test: The test split, with places for ``n`` and ``seed``.
        modes: What is compared, see :mod:`experiments.evaluation.modes`.
        targets: What has to be reached.
        prompt: The prompt's template.
        lead: What the report says first.
    """

    test: str
    modes: tuple[str, ...]
    targets: Targets = field(default_factory=Targets)
    prompt: str = ""
    lead: str = ""


PLAN = typed(
    Plan,
    tomllib.loads(Path(__file__).with_name("demo.toml").read_text("utf-8")),
    "demo.toml",
)
OWNS = (
    *(RESULT, *PAGE, *within(TRAIN)),
    *(f"{WARMUP}{end}/*" for end in ("", ".part", ".old")),
    *(f"{POLICIES}/{mode.folder}/{name}" for mode in parse_modes(PLAN.modes) for name in LEAF),
    f"{POLICIES}/{RESULT}",
)
"""Names that the demo writes."""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "KEY=VALUE", "replace a recipe's setting", nargs="*", dest="settings")
    option(parser, "--recipe RECIPE", "what is trained", default="laptop")
    option(parser, "--out DIR", "where results go", Path, Path("runs/demo"))
    option(parser, "--seed S", "of all parts", natural, 0)
    option(parser, "--warmup-steps N",
           "steps of each part of the warm-up (default: 350 of seeing, 900 of answering)", positive,
           )  # fmt: skip
    option(parser, "--samples N", "test pictures", positive, 2000)
    add_folder_options(parser, "demo")


def run(arguments: argparse.Namespace) -> int:
    """Do all of it; what is whole in the folder is not done again."""
    need_rich()
    need_torch()
    looked(arguments, KIND)
    out, seed = arguments.out, arguments.seed
    recipe = _recipe(arguments)
    test = PLAN.test.format(n=arguments.samples, seed=seed)
    _check(recipe, test, arguments.samples)
    with begin(out, KIND, OWNS, mode_of(arguments), settings=told(arguments)) as held:
        start = _warm_up(out / WARMUP, arguments.warmup_steps, seed)
        model = replace(recipe.model, path=str(start))
        trained = _train(replace(recipe, seed=seed, model=model), out / TRAIN)
        result = _evaluate(test, seed, start, trained, out / POLICIES)
        missed = PLAN.targets.missed(numbers_of(result["modes"]))
        write_json(out / RESULT, {**result, "missed": missed})
        config = ReportConfig("VisionThink on a laptop", PLAN.lead)
        made = make_report([out], out / "report.html", config)
        track(made, recipe.tracking.wandb, recipe.tracking.project, recipe.name, out)
        held.finish()
    screen = console()
    shown = results("mode", f"test split, seed {seed}", result["modes"])
    screen.show(shown)
    screen.say(legend(shown))
    screen.say("\n".join(["missed:", *missed, ADVICE]) if missed else "all targets reached")
    screen.say(f"open {out / 'report.html'}")
    return int(bool(missed))


def _recipe(arguments: argparse.Namespace) -> TrainConfig:
    """The training run; its model path is replaced by the warm-up's result."""
    for setting in arguments.settings:
        name = setting.partition("=")[0].strip()
        if name == "seed":
            raise ConfigError(f"{setting}: the seed of all parts is --seed S")
        if name in ("model", "model.path"):
            raise ConfigError(
                f"{setting}: the demo trains the model that it warms up; vt train takes another one"
            )
    return load_recipe(arguments.recipe, arguments.settings)


def _check(recipe: TrainConfig, test: str, samples: int) -> None:
    """Find out before anything is done whether all of it can be."""
    check_settings(make_trainer(recipe.trainer), recipe)
    prefix = "request_rate/"
    missing = {n.removeprefix(prefix) for n in PLAN.targets.names if n.startswith(prefix)}
    for sample in open_source(test):
        missing.discard(sample.kind)
        if not missing:
            return
    raise ConfigError(
        f"{samples} test pictures have no question of kind {', '.join(sorted(missing))}, "
        "which the demo has targets for; use more --samples"
    )


def _warm_up(folder: Path, steps: int | None, seed: int) -> Path:
    """Warm a fresh tiny policy up, unless it is whole already; its checkpoint's folder."""
    from agents.tiny import WarmupConfig, warm_up

    try:
        check_folder(folder)
    except Damaged:
        with training_bar("warm-up", None) as bar, whole_folder(folder, WARMUP) as part:
            warm_up(WarmupConfig.cut(steps), part, seed, losses(bar))
    return folder


def _train(recipe: TrainConfig, folder: Path) -> Path:
    """Train the warmed-up policy, from where it was; its checkpoint's folder."""
    with training_bar("training", recipe.steps) as bar, run_folder(folder, "resume"):
        write_snapshot(folder, recipe)
        trainer = make_trainer(recipe.trainer)
        return trainer.train(recipe, folder, resume=True, progress=bar).checkpoint


def _evaluate(test: str, seed: int, before: Path, model: Path, out: Path) -> dict[str, Any]:
    """Play the test split in all modes, references by the model as it was before.

    Training never makes a policy answer in the way that it has learnt not to choose, so that the
    trained model forced there is weaker than the one it began as, and would be flattered.
    """
    from experiments.screen import progress_bar

    part, rules = Part("test", test), {"prompt": PLAN.prompt}
    player = Player(
        Setup(f"tiny:{model}", [part], rules=rules, seed=seed, reference=f"tiny:{before}")
    )
    try:
        with progress_bar("evaluation") as bar:
            work = Evaluation(
                player, Here(player), Options(batch=BATCH), lambda name, n, of: bar(n, of, name)
            )
            result = work.part(part.name, parse_modes(PLAN.modes), out)
    finally:
        player.close()
    assert result is not None
    return result
