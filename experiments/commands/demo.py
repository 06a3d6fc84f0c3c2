"""``vt demo``: from nothing to a trained policy and a report, on a laptop.

What is trained, what is compared and what has to be reached is data: a file of ``demos``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
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
from experiments.evaluation.workers import Here, Processes
from experiments.files import write_json
from experiments.parsing import Parser, meant, option
from experiments.provenance import provenance
from experiments.recipe import load_recipe, read_toml, typed
from experiments.report import ReportConfig, make_report
from experiments.report.tracked import track
from experiments.result_tables import by_group, legend, results
from experiments.targets import Targets, numbers_of
from experiments.training_runs import Run, train
from trainers import TrainConfig, check_settings, make_trainer
from trainers.errors import Damaged
from trainers.files import check_folder, whole_folder
from trainers.results import begin
from trainers.runs import PAGE, check_model, check_start, within
from vt_env import ConfigError, open_source
from vt_env.decoding import cores
from vt_env.errors import unknown_name

DESCRIPTION = """\
Train a small vision-language model to ask for more only where it needs it, and compare it with the
policies it has to beat. Minutes on two cores; no network, no GPU. Exit code 1: it missed a target,
which is said.
"""
EPILOG = """\
In DIR: report.html (open it), result.json (accuracy, request rate and visual tokens of every
policy, also by kind of question), plots, train/ (logs and checkpoints), policies/ (every episode).
"""
FOLDER = Path(__file__).parents[1] / "demos"
KIND = "demo"
WARMUP, TRAIN, POLICIES = "warmup", "train", "policies"
RESULT = "result.json"
BATCH = 64
"""Test pictures at once."""
PICTURES, EPISODES = 120, 1000
"""Most in the report, which stays under three megabytes."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A task of a demo.

    Attributes:
        recipe: What is trained.
        modes: What is compared, see :mod:`experiments.evaluation.modes`.
        names: Results' names of modes that are to have others.
    """

    recipe: str
    modes: tuple[str, ...]
    names: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        parse_modes(self.modes)
        for mode, name in self.names.items():
            if mode not in self.modes:
                raise unknown_name("mode", mode, self.modes)
            if not isinstance(name, str):
                raise ConfigError(f"the name of {mode} must be text, got {name!r}")

    @property
    def policies(self) -> list[str]:
        """Results' names of its modes."""
        return [self.names.get(mode, mode) for mode in self.modes]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a file of ``demos`` says.

    Attributes:
        title: Of the report.
        test: The test split, with places for ``{n}`` and, where it has one, ``{seed}``.
        tasks: By name, each as :class:`Scheme` has it.
        lead: What the report says first.
        advice: What to do where a target was missed.
        targets: What has to be reached.
        prompt: The prompt's template.
        warmup: Whether a fresh tiny policy is warmed up first, which the recipes train.
    """

    title: str
    test: str
    tasks: Mapping[str, Any]
    lead: str
    advice: str
    targets: Targets = field(default_factory=Targets)
    prompt: str = ""
    warmup: bool = False

    @classmethod
    def load(cls, name: str) -> Plan:
        """A shipped plan, or one in a file."""
        path, table = read_toml(name, FOLDER, "plan of a demo")
        plan = typed(cls, table, path.name)
        for task, table in plan.tasks.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", task) or not isinstance(table, Mapping):
                raise ConfigError(
                    f"{path.name}: tasks must be tables whose names have letters, digits, - and _ "
                    f"alone, got {task} = {table!r}"
                )
        schemes = {task: typed(Scheme, told, path.name) for task, told in plan.tasks.items()}
        names = [name for scheme in schemes.values() for name in scheme.policies]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"{path.name}: two policies are named {twice[0]!r}; see names")
        return replace(plan, tasks=schemes)

    def source(self, samples: int, seed: int) -> str:
        """The spec of the test split."""
        try:
            made = self.test.format(n=samples, seed=seed)
        except (LookupError, ValueError, AttributeError):
            made = None
        if made is None or "{n}" not in self.test:
            raise ConfigError(
                "test must be a source with {n} in it, and {seed} where it has one, such as "
                f"jsonl:FILE,limit={{n}}; got {self.test!r}"
            )
        return made

    def owns(self) -> list[str]:
        """Names that the demo writes."""
        made = [RESULT, *PAGE, *(f"{WARMUP}{end}/*" for end in ("", ".part", ".old"))]
        for task, scheme in self.tasks.items():
            folder = f"{POLICIES}/{task}"
            made += [*within(f"{TRAIN}/{task}"), f"{TRAIN}/{task}.log", f"{folder}/{RESULT}"]
            for mode in parse_modes(scheme.modes):
                made += [f"{folder}/{mode.folder}/{name}" for name in LEAF]
        return made


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "KEY=VALUE", "replace a setting of its recipes", nargs="*", dest="settings")
    option(parser, "--plan PLAN", "what is trained and compared: pages, with the shipped policy; "
           "laptop, from random weights; or a file", default="pages")  # fmt: skip
    option(parser, "--out DIR", "where results go", Path, Path("runs/demo"))
    option(parser, "--seed S", "of all parts", natural, 0)
    option(parser, "--warmup-steps N",
           "steps of each part of the warm-up of laptop (default: 350 of seeing, 900 of "
           "answering)", positive,
           )  # fmt: skip
    option(parser, "--samples N", "test pictures", positive, 2000)
    add_folder_options(parser, "demo")


def run(arguments: argparse.Namespace) -> int:
    """Do all of it; what is whole in the folder is not done again."""
    need_rich()
    need_torch()
    looked(arguments, KIND)
    out, seed, plan = arguments.out, arguments.seed, Plan.load(arguments.plan)
    if arguments.warmup_steps is not None and not plan.warmup:
        raise ConfigError(f"--warmup-steps: the plan {arguments.plan} has no warm-up")
    recipes = {name: _recipe(task.recipe, arguments) for name, task in plan.tasks.items()}
    test = plan.source(arguments.samples, seed)
    _check(plan, recipes, test)
    with begin(out, KIND, plan.owns(), mode_of(arguments), settings=told(arguments)) as held:
        if plan.warmup:
            path = str(_warm_up(out / WARMUP, arguments.warmup_steps, seed))
            recipes = {
                name: replace(recipe, model=replace(recipe.model, path=path))
                for name, recipe in recipes.items()
            }
        policies: dict[str, Any] = {}
        trained = _train(plan, recipes, arguments.settings, out / TRAIN)
        for name, recipe in recipes.items():
            policies |= _evaluate(plan, name, recipe, test, trained[name], out / POLICIES / name)
        missed = plan.targets.missed(numbers_of(policies))
        origin = provenance(seed, None)
        write_json(out / RESULT, {"policies": policies, "missed": missed, "provenance": origin})
        made = make_report(
            [out],
            out / "report.html",
            ReportConfig(plan.title, plan.lead, pictures=PICTURES, episodes=EPISODES),
        )
        tracking = next(iter(recipes.values())).tracking
        track(made, tracking.wandb, tracking.project, f"demo-{arguments.plan}", out)
        held.finish()
    screen = console()
    shown = results("policy", f"test split, seed {seed}", policies), by_group("kind", policies)
    for table in shown:
        screen.show(table)
    screen.say(legend(*shown))
    screen.say("\n".join(["missed:", *missed, plan.advice]) if missed else "all targets reached")
    screen.say(f"open {out / 'report.html'}")
    return int(bool(missed))


def _recipe(name: str, arguments: argparse.Namespace) -> TrainConfig:
    """A training run."""
    for setting in arguments.settings:
        key = setting.partition("=")[0].strip()
        if key == "seed":
            raise ConfigError(f"{setting}: the seed of all parts is --seed S")
        if key in ("model", "model.path"):
            raise ConfigError(
                f"{setting}: the demo trains the model of its plan; vt train takes another one"
            )
    return replace(load_recipe(name, arguments.settings), seed=arguments.seed)


def _check(plan: Plan, recipes: Mapping[str, TrainConfig], test: str) -> None:
    """Find out before anything is done whether all of it can be."""
    for recipe in recipes.values():
        if not plan.warmup:
            check_model(recipe)
        check_settings(make_trainer(recipe.trainer), recipe)
        check_start(recipe)
    missing = {name.rpartition("/")[2] for name in plan.targets.names if "/" in name}
    played = {
        **dict.fromkeys(("accuracy", "token_ratio", "request_rate"), 0.0),
        "by_kind": {kind: {"request_rate": 0.0} for kind in missing},
    }
    policies = [name for scheme in plan.tasks.values() for name in scheme.policies]
    known = numbers_of(dict.fromkeys(policies, played))
    for name in plan.targets.names:
        if name not in known:
            raise ConfigError(f"there is no number {name!r} to reach{meant(name, known)}")
    source = open_source(test)
    for sample in source if missing else ():
        missing.discard(sample.kind)
        if not missing:
            return
    if missing:
        raise ConfigError(
            f"{len(source)} test pictures have no question of kind {', '.join(sorted(missing))}, "
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


def _train(
    plan: Plan, recipes: Mapping[str, TrainConfig], settings: Sequence[str], out: Path
) -> dict[str, Path]:
    """Train the policies, from where they were, on a core each; their checkpoints' folders."""
    from experiments.screen import progress_bar

    runs = [
        Run(
            name,
            [plan.tasks[name].recipe, *settings, f"seed={recipe.seed}",
             f"model.path={json.dumps(recipe.model.path)}"],
            out / name,
        )
        for name, recipe in recipes.items()
    ]  # fmt: skip
    with progress_bar("training", sum(recipe.steps for recipe in recipes.values())) as bar:

        def shown(steps: Sequence[int]) -> None:
            each = zip(recipes, steps, strict=True)
            bar(sum(steps), numbers=", ".join(f"{name} {step}" for name, step in each))

        train(runs, cores(), shown)
    return {run.name: run.checkpoint for run in runs}


def _evaluate(
    plan: Plan, task: str, recipe: TrainConfig, test: str, trained: Path, out: Path
) -> dict[str, Any]:
    """Play the test split in a task's modes, references by the model as it was before.

    Training never makes a policy answer in the way that it has learnt not to choose, so that the
    trained model forced there is weaker than the one it began as, and would be flattered.

    Returns:
        Results by the policies' names.
    """
    from experiments.screen import progress_bar

    agent, part, scheme = recipe.model.agent, Part("test", test), plan.tasks[task]
    setup = Setup(
        f"{agent}:{trained}",
        [part],
        recipe.environment.protocol,
        {"prompt": plan.prompt},
        recipe.seed,
        reference=f"{agent}:{recipe.model.path}",
    )
    with ExitStack() as held:
        player = held.enter_context(closing(Player(setup)))
        workers = held.enter_context(
            closing(Processes(setup, cores()) if cores() > 1 else Here(player))
        )
        bar = held.enter_context(progress_bar(task))
        work = Evaluation(
            player, workers, Options(batch=BATCH), lambda name, n, of: bar(n, of, name)
        )
        result = work.part(part.name, parse_modes(scheme.modes), out)
    assert result is not None
    return {scheme.names.get(mode, mode): one for mode, one in result["modes"].items()}
