"""What the runs of every trainer have in common: folder, resume, log, checkpoints, result.

Here and in the trainers ``config`` is the recipe, ``out`` the run's folder, ``store`` its
checkpoints, and ``step`` the number of steps done.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from trainers.base import Progress, TrainResult
from trainers.checkpoint import Checkpoint, CheckpointStore
from trainers.config import TrainConfig
from trainers.data import task_of
from trainers.errors import CheckpointError
from trainers.provenance import STARTS
from trainers.results import PRIVATE, Mode, Results, Stamp, begin
from trainers.tracking import EPISODES, LOG, Tracker
from trainers.wandb_view import wandb_view
from vt_env.errors import ConfigError

KIND = "train"
CHECKPOINTS = "checkpoint"
"""The folder of a run's checkpoints, in the folder of its results."""
STATE = "state.json"
SNAPSHOT = "recipe.toml"
"""Every setting of a run, see :mod:`experiments.recipe`."""

PREFLIGHT = "preflight.json"
"""What :mod:`trainers.preflight` found before the run began."""

_FIGURES = ("accuracy", "requests", "costs", "diagnosis", "checkpoints", "training")
PAGE = (
    "report.html",
    *(f"report-{name}.{kind}" for name in _FIGURES for kind in ("png", "svg")),
)
"""What :func:`experiments.report.make_report` writes beside other results."""
_HOSTED = (
    *("run.json", "start.sh", "log.txt", "train.jsonl", "validation.jsonl", "judging/*"),
    *("agent.py", "__pycache__/*", "steps-*.jsonl", "played/*", "stopped.json"),
)
OWNS = (
    *(LOG, EPISODES, STARTS, SNAPSHOT, "result.json", PREFLIGHT, "played.npz", *PAGE),
    *(f"damaged-{name}*" for name in (LOG, EPISODES)),
    *(f"{CHECKPOINTS}/{before}step-{'[0-9]' * 6}*/*" for before in ("", "broken-")),
    *(f"{library}/{name}" for library in ("openrlhf", "verl") for name in _HOSTED),
    *("openrlhf/state/*", "openrlhf/last/*", "verl/checkpoints/*", "trl/*"),
)
"""Names that a run writes, whoever trains."""


@contextmanager
def run_folder(
    out: Path, mode: Mode, settings: Mapping[str, Any] | None = None
) -> Iterator[Results]:
    """Work in a run's folder; see :func:`trainers.results.begin`.

    Args:
        out: The folder.
        mode: What is to be done; ``resume`` begins in a folder that has nothing yet.
        settings: What a stamp keeps of the command.
    """
    if mode == "resume" and Stamp.read(out) is None:
        mode = "new"
    with begin(out, KIND, OWNS, mode, settings=settings, formal=(SNAPSHOT,)) as results:
        yield results


def record_of_preflight(out: Path) -> Path:
    """Where a preflight of a run is kept until the run begins: beside its folder."""
    return out.absolute().with_name(f"{out.absolute().name}-{PREFLIGHT}")


class RunTrainer(ABC):
    """A trainer that works in a run's folder; see :class:`trainers.base.Trainer`."""

    def check(self, config: TrainConfig) -> None:  # noqa: B027 - most have nothing to refuse
        """Refuse settings that cannot be honoured; see :func:`trainers.base.check_settings`."""

    def train(
        self,
        config: TrainConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train; see :meth:`trainers.base.Trainer.train`."""
        self.check(config)
        check_model(config)
        with run_folder(out, "resume" if resume else "new"):
            return self.run(config, out, progress)

    @abstractmethod
    def run(self, config: TrainConfig, out: Path, progress: Progress | None) -> TrainResult:
        """Train in a folder that is this run's."""


def within(folder: str) -> tuple[str, ...]:
    """The names of a run in a folder of somebody else's results, its stamp included."""
    return tuple(f"{folder}/{name}" for name in (*OWNS, f"{PRIVATE}/*"))


def score(evaluation: Mapping[str, float | None], config: TrainConfig) -> float | None:
    """What "best" compares: accuracy, less what requests and visual tokens pay in the reward.

    By accuracy alone a policy that always asks would be the best. Here every request pays the
    penalty, which in a group some do not.
    """
    names = ("eval/accuracy", "eval/request_rate", "eval/token_ratio")
    accuracy, requests, tokens = (evaluation.get(name) for name in names)
    if accuracy is None or requests is None or tokens is None or math.isnan(accuracy):
        return None
    reward = config.reward
    penalty = 0.0 if reward.penalty == "none" else reward.penalty_weight
    return reward.accuracy_weight * accuracy - penalty * requests - reward.token_price * tokens


def check_start(config: TrainConfig) -> None:
    """Refuse what can be seen of a recipe without a model: algorithm, data, judges and probes.

    Raises:
        ConfigError: On a setting that is wrong.
        DataError: If the data cannot be opened.
        MissingExtra: If a judge needs a package that is not installed.
    """
    from trainers.algorithms import make_algorithm  # it needs torch
    from trainers.probes import probe_starts
    from trainers.refusing import check_channel

    check_channel(config, make_algorithm(config.algorithm.name, **config.algorithm.options))
    for data in filter(None, (config.data.train, config.data.validation)):
        with closing(task_of(data, config.environment)) as task:
            probe_starts(config, task.protocol)


def check_model(config: TrainConfig) -> None:
    """Refuse a model that is written as a folder and is none.

    Raises:
        ConfigError: Saying how a small one is made.
    """
    path = config.model.path
    if path.startswith((".", "/", "~")) and not Path(path).is_dir():
        made = {
            "tiny": f"vt warmup --out {path}",
            "pages": f"vt warmup pages --out {Path(path).parent}",
        }
        command = made.get(config.model.agent)
        small = f", or make a small one first: {command}" if command else ""
        raise ConfigError(
            f"model.path: there is no folder {path}; name a checkpoint's folder{small}"
        )


def same_recipe(before: Mapping[str, Any], config: TrainConfig, *applied: str) -> None:
    """Refuse to go on with a recipe that the trainer would not honour from here on.

    What each setting allows is in its type, see :mod:`trainers.config`.

    Args:
        before: The recipe that the run began with, as JSON.
        config: The recipe that it is to go on with.
        *applied: Dotted names of what the trainer puts into effect, of all that is ``APPLIED``.

    Raises:
        ConfigError: Naming the setting that differs.
    """
    for name, rule, old, new in _differing(before, config):
        if rule == "applied" and any(f"{name}.".startswith(f"{other}.") for other in applied):
            continue
        raise ConfigError(
            f"the run that is resumed has {name} = {old!r}, the recipe says {new!r}; "
            "set it back, or begin anew in another folder"
        )


def same_start(before: Mapping[str, str], now: Mapping[str, str], config: TrainConfig) -> None:
    """Refuse to go on with a model or data that are not those that the run began with.

    Args:
        before: Fingerprints of the model and the data that it began with.
        now: Those of what is there now.
        config: The recipe, which says where they are.

    Raises:
        ConfigError: Naming what differs.
    """
    places = {"model": config.model.path, **asdict(config.data)}
    for name in dict.fromkeys([*before, *now]):
        if before.get(name) != now.get(name):
            what = "the model in" if name == "model" else f"the data ({name})"
            raise ConfigError(
                f"{what} {places.get(name)} is not what the run began with, and is needed for it; "
                "put it back, or begin anew in another folder"
            )


def write_state(folder: Path, config: TrainConfig, **state: Any) -> None:
    """Write what a resume needs to know into a checkpoint that is being written, as JSON."""
    record = {**state, "config": asdict(config)}
    (folder / STATE).write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def state_of(found: Checkpoint) -> dict[str, Any]:
    """What :func:`write_state` wrote.

    Raises:
        CheckpointError: If it was another trainer that wrote the checkpoint.
    """
    try:
        return json.loads((found.folder / STATE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{found.folder} was not written by this trainer") from error


def _differing(
    before: Mapping[str, Any], now: Any, prefix: str = "", rule: Any = "fixed"
) -> Iterator[tuple[str, Any, Any, Any]]:
    """Settings that differ and are not free: dotted name, rule, value before and value now."""
    for field in fields(now):
        mine = field.metadata.get("resume", rule)
        new = getattr(now, field.name)
        old = before[field.name] if field.name in before else _default(field)
        name = f"{prefix}{field.name}"
        if is_dataclass(new) and isinstance(old, dict):
            yield from _differing(old, new, f"{name}.", mine)
        elif mine != "free":
            new = json.loads(json.dumps(new, default=dict))
            if (mine(old) != mine(new)) if callable(mine) else old != new:
                yield name, mine, old, new


def _default(field: Field[Any]) -> Any:
    """What a setting was before there was one, as JSON."""
    made = field.default
    if made is MISSING:
        made = None if field.default_factory is MISSING else field.default_factory()
    return json.loads(json.dumps(made, default=asdict))


def is_due(config: TrainConfig, every: int, step: int) -> bool:
    """Whether what is done every so many steps is due after a step; after the last one it is."""
    return step == config.steps or (every > 0 and step % every == 0)


def save_is_due(config: TrainConfig, step: int) -> bool:
    """Whether a checkpoint is due after a step."""
    return (config.early and step == 1) or is_due(config, config.checkpoint.every, step)


def store_of(config: TrainConfig, out: Path) -> CheckpointStore:
    """The checkpoints of a run."""
    return CheckpointStore(out / CHECKPOINTS, config.checkpoint.keep)


@contextmanager
def tracked(config: TrainConfig, store: CheckpointStore, out: Path, step: int) -> Iterator[Tracker]:
    """The log of a run that goes on after a step, with the views that the recipe asks for.

    Raises:
        TrainingError: See :class:`trainers.tracking.Tracker`.
    """
    tracker = Tracker(out, step)
    tracking = config.tracking
    view = wandb_view(
        tracking.wandb, project=tracking.project, name=config.name, out=out, config=asdict(config)
    )
    if view is not None:
        tracker.show(view)
    model = None
    try:
        yield tracker
        model = store.last.folder / "model" if store.last else None
    finally:
        tracker.finish(model)


def result_of(
    config: TrainConfig,
    store: CheckpointStore,
    out: Path,
    evaluation: Mapping[str, float | None],
    fingerprints: Mapping[str, str],
) -> TrainResult:
    """The result of a run that is over.

    Raises:
        CheckpointError: If the last step has no whole checkpoint.
    """
    newest, best = store.last, store.best()
    if newest is None or newest.step < config.steps:
        left = f"ends at step {newest.step}" if newest else "is empty"
        raise CheckpointError(
            f"the run is over at step {config.steps}, and {store.folder} {left}; resume it"
        )
    return TrainResult(
        steps=newest.step,
        checkpoint=newest.folder / "model",
        log=out / LOG,
        best=best.folder / "model" if best else None,
        evaluation=evaluation,
        fingerprints=fingerprints,
    )
