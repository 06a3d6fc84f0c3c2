"""Many training runs of one recipe: arms × values of one setting × seeds.

Each run is a ``vt train`` in a folder and a process of its own, from a warmed-up model that all
runs of a seed share. What is finished is not run again, so that a study can be stopped at any time,
and grow.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.files import json_object
from experiments.plots import Curve, curve_grid
from experiments.recipe import load_recipe, read_snapshot, read_toml, typed
from experiments.tables import Column, Table
from experiments.targets import Targets
from trainers.results import Results, Stamp, begin, look
from trainers.runs import KIND, SNAPSHOT
from trainers.tracking import LOG, JsonLines
from vt_env import ConfigError
from vt_env.errors import unknown_name

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[1] / "studies"
"""In a checkout of the repository; a wheel has none."""
RESULT, WARMUP = "result.json", "warmup"
RATE = "rollout/request_rate/"
SMOOTH = 9
"""Steps of the moving average in curves."""


@dataclass(frozen=True, slots=True)
class Study:
    """What is compared.

    Attributes:
        recipe: What all runs share, see :func:`experiments.recipe.load_recipe`.
        seeds: Of warm-up and training.
        arms: For each arm's name, the settings that make it.
        across: A setting that every arm is run with several values of; none if empty.
        values: These values.
        settings: Of all runs.
        warmup: Settings of the warm-up, see :class:`agents.tiny.WarmupConfig`.
        python: By arm, the command that is its Python where it needs an environment of its own.
        targets: What a run has to reach on the validation data: ``accuracy``, ``token_ratio``,
            ``request_rate/KIND``.
        needless: Kinds of question that do not need the original, for the figure.
    """

    recipe: str
    seeds: tuple[int, ...]
    arms: Mapping[str, Any]
    across: str = ""
    values: tuple[float, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    warmup: Mapping[str, Any] = field(default_factory=dict)
    python: Mapping[str, str] = field(default_factory=dict)
    targets: Targets = field(default_factory=Targets)
    needless: tuple[str, ...] = ()

    def warm(self, out: Path) -> dict[int, Path]:
        """By seed, the folder of the tiny model that is warmed up first; none for another one."""
        if load_recipe(self.recipe).model.agent != "tiny":
            return {}
        return {seed: out / WARMUP / f"seed-{seed}" for seed in self.seeds}


@dataclass(frozen=True, slots=True)
class Run:
    """One training run.

    Attributes:
        arm: Its arm's name.
        value: Of the setting that is varied; ``None`` if none is.
        seed: Of warm-up and training.
        settings: As ``vt train`` takes them.
        folder: Where its results are.
    """

    arm: str
    value: float | None
    seed: int
    settings: Sequence[str]
    folder: Path

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return (self.folder / RESULT).exists()

    @property
    def result(self) -> Mapping[str, Any]:
        """What ``vt train`` wrote of it."""
        return json_object(self.folder / RESULT)

    @property
    def checkpoint(self) -> Path:
        """Its last model."""
        return self.folder / self.result["checkpoint"]


def load_study(name_or_path: str | Path) -> Study:
    """Read a study: a shipped one by its name, or a TOML file.

    Raises:
        ConfigError: If there is none, it is no TOML, or a key or a value is wrong.
    """
    from trainers.algorithms import make_algorithm  # it needs torch
    from trainers.refusing import check_channel

    path, table = read_toml(name_or_path, FOLDER, "study")
    study = typed(Study, table, f"study {path.name}")
    if bool(study.across) != bool(study.values):
        raise ConfigError(f"study {path.name}: across and values go together")
    for arm, own in study.arms.items():
        if arm in ("", ".", "..", WARMUP) or "/" in arm or not isinstance(own, Mapping):
            raise ConfigError(
                f"study {path.name}: arms must be tables of settings, each named as a folder can "
                f"be and not {WARMUP!r}, got {arm!r} = {own!r}"
            )
    folders: set[Path] = set()
    for run in runs(study, Path()):
        if run.folder in folders:
            raise ConfigError(f"study {path.name}: two runs would have the folder {run.folder}")
        folders.add(run.folder)
        recipe = load_recipe(study.recipe, run.settings)
        check_channel(recipe, make_algorithm(recipe.algorithm.name, **recipe.algorithm.options))
        if recipe.data.validation is None:
            raise ConfigError(f"study {path.name}: runs are compared on data.validation: name one")
    for arm, command in study.python.items():
        if arm not in study.arms:
            raise unknown_name("arm", arm, list(study.arms))
        if not isinstance(command, str) or not command.split():
            raise ConfigError(f"study {path.name}: python.{arm} must be a command, got {command!r}")
    return study


def runs(study: Study, out: Path) -> list[Run]:
    """All runs, seed by seed, so that a study that is stopped early has whole comparisons."""
    made: list[Run] = []
    warm = study.warm(out)
    for seed in study.seeds:
        for arm, own in study.arms.items():
            for value in study.values or (None,):
                settings = {**study.settings, **own}
                folder = out / arm
                if value is not None:
                    settings[study.across] = value
                    folder = folder / f"{value:g}"
                words = _words(settings)
                words += [f"seed={seed}"]
                words += [f"model.path={warm[seed]}"] if warm else []
                made.append(Run(arm, value, seed, words, folder / f"seed-{seed}"))
    return made


def _words(settings: Mapping[str, Any]) -> list[str]:
    return [
        f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"
        for key, value in settings.items()
    ]


@contextmanager
def folder(
    study: Study, kind: str, out: Path, owns: Sequence[str], settings: Mapping[str, Any]
) -> Iterator[Results]:
    """Work in a study's folder; the same command goes on with what is there.

    Args:
        study: What is compared.
        kind: The command.
        out: The folder.
        owns: Names of the comparison; each run's folder is its own.
        settings: What a stamp keeps of the command.
    """
    folders = [run.folder for run in runs(study, out)]
    folders += study.warm(out).values()
    names = [*owns, *(log_of(folder).relative_to(out).as_posix() for folder in folders)]
    mode = "new" if Stamp.read(out) is None else "resume"
    with begin(out, kind, names, mode, settings=settings) as results:
        yield results


def carry_out(study: Study, out: Path, jobs: int) -> Iterator[Run]:
    """Do what is not done yet.

    Args:
        study: What is compared.
        out: Where its runs are.
        jobs: Processes at once, one thread each.

    Yields:
        Runs as they end. One that failed has no result; its log says why.
    """
    every = runs(study, out)
    for run in every:
        if Stamp.read(run.folder) is None:
            look(run.folder, KIND)
        else:
            _same_settings(study, run)
    todo = [run for run in every if not run.done]
    for arm in {run.arm: None for run in todo}:
        python_of(study, arm)
    with ThreadPoolExecutor(jobs) as pool:
        needed = {run.seed for run in todo}
        cold = {
            seed: folder
            for seed, folder in study.warm(out).items()
            if seed in needed and not _is_finished(folder)
        }
        list(pool.map(lambda seed: _warm(study, cold[seed], seed), cold))
        for run, code in pool.map(lambda run: (run, _train(study, run)), todo):
            if code:
                logger.warning("%s ended with code %d, see the log beside it", run.folder, code)
            yield run


def _same_settings(study: Study, run: Run) -> None:
    """Refuse a run that is not this study's; where its model is does not matter."""
    if not (run.folder / SNAPSHOT).exists():
        return  # it was killed before it began
    wanted, made = load_recipe(study.recipe, run.settings), read_snapshot(run.folder)
    if replace(made, model=replace(made.model, path=wanted.model.path)) != wanted:
        raise ConfigError(
            f"{run.folder} was made with other settings, see {SNAPSHOT} there; choose another "
            "--out, or delete it"
        )


def _warm(study: Study, folder: Path, seed: int) -> None:
    words = ["warmup", *_words(study.warmup), "--seed", str(seed), "--out", str(folder)]
    if Stamp.read(folder) is not None:
        words.append("--overwrite")  # it was not finished
    if code := _vt([sys.executable], words, log_of(folder)):
        raise ConfigError(
            f"the warm-up of seed {seed} ended with code {code}, see {log_of(folder)}"
        )


def _is_finished(folder: Path) -> bool:
    stamp = Stamp.read(folder)
    return stamp is not None and stamp.finished is not None


def log_of(folder: Path) -> Path:
    """What the process printed that made a folder: a file beside it."""
    return folder.with_name(f"{folder.name}.log")


def _train(study: Study, run: Run) -> int:
    words = ["train", study.recipe, *run.settings, "--out", str(run.folder)]
    if Stamp.read(run.folder) is not None:
        words.append("--resume")
    return _vt(python_of(study, run.arm), words, log_of(run.folder))


def python_of(study: Study, arm: str) -> list[str]:
    """The command that is an arm's Python."""
    command = shlex.split(study.python.get(arm, "")) or [sys.executable]
    if shutil.which(command[0]) is None:
        raise ConfigError(
            f"the Python of arm {arm!r} is not there: {command[0]}; make its environment first "
            "(see the Makefile), or leave the arm out"
        )
    return command


def _vt(python: Sequence[str], words: Sequence[str], log: Path) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        return subprocess.run(
            [*python, "-m", "vt_env", *words],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ).returncode


def outcomes(study: Study, out: Path) -> list[dict[str, Any]]:
    """One row for each finished run: what it reached, and what it missed of the targets."""
    prefix = "request_rate/"
    return [
        {
            **{"arm": run.arm, "value": run.value, "seed": run.seed},
            **{key: found[key] for key in ("accuracy", "token_ratio")},
            "requests": {
                k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)
            },
            "missed": study.targets.missed(found) if study.targets.names else None,
        }
        for run in runs(study, out)
        if run.done
        for found in [run.result["evaluation"]]
    ]


def table(study: Study, rows: Sequence[Mapping[str, Any]]) -> Table:
    """For each arm and value medians, the worst, and how many runs reached all targets."""
    kinds = sorted(rows[0]["requests"], key=lambda kind: (kind not in study.needless, kind))
    columns = [
        *(Column("arm", text=True), Column(study.across.rpartition(".")[2] or "-", "g")),
        *(Column("reached"), Column("accuracy", ".3f"), Column("lowest", ".3f")),
        *(Column("tokens", ".3f"), Column("highest", ".3f")),
        *(Column(f"asks: {kind.replace('_', ' ')}", ".2f") for kind in kinds),
    ]
    lines: list[list[Any]] = []
    for arm, value in dict.fromkeys((row["arm"], row["value"]) for row in rows):
        group = [row for row in rows if (row["arm"], row["value"]) == (arm, value)]
        accuracy = [row["accuracy"] for row in group]
        tokens = [row["token_ratio"] for row in group]
        judged = [row["missed"] for row in group if row["missed"] is not None]
        lines.append(
            [
                *(arm, value),
                f"{judged.count([])} of {len(judged)}" if judged else None,
                *(statistics.median(accuracy), min(accuracy)),
                *(statistics.median(tokens), max(tokens)),
                *(statistics.median(row["requests"][kind] for row in group) for kind in kinds),
            ]
        )
    return Table("", columns, lines)


def draw(study: Study, out: Path) -> None:
    """Two figures over training: a panel for each arm and value, a line for each seed.

    ``requests``: request rates, of the kinds that need the original and of those that do not;
    ``rewards``: reward and accuracy.
    """
    requests: dict[str, dict[str, list[Curve]]] = {}
    rewards: dict[str, dict[str, list[Curve]]] = {}
    for run in runs(study, out):
        if not run.done:
            continue
        column = "" if run.value is None else f"{study.across.rpartition('.')[2]} {run.value:g}"
        logged = list(JsonLines(run.folder / LOG).rows())
        kinds = {key for row in logged for key in row if key.startswith(RATE)}
        needless = {key for key in kinds if key.removeprefix(RATE) in study.needless}
        for figure, parts in (
            (requests, {"does not need the original": needless, "needs it": kinds - needless}),
            (rewards, {"reward": {"reward/mean"}, "accuracy": {"env/accuracy"}}),
        ):
            panel = figure.setdefault(run.arm, {}).setdefault(column, [])
            for label, keys in parts.items():
                found = [[row[k] for k in keys if row.get(k) is not None] for row in logged]
                means = [statistics.mean(values) for values in found if values]
                if means:
                    panel.append(Curve(label, _smooth(means)))
    curve_grid(requests, "training step", "request rate", out / "requests")
    curve_grid(rewards, "training step", "reward, accuracy", out / "rewards", top=1.5)


def _smooth(values: Sequence[float]) -> list[float]:
    return [
        statistics.mean(values[max(0, i - SMOOTH // 2) : i + SMOOTH // 2 + 1])
        for i in range(len(values))
    ]
