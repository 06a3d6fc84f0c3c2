"""The training loop."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from agents import Episode
from trainers.algorithms import Algorithm, make_algorithm
from trainers.base import Progress, TrainResult
from trainers.checkpoint import Checkpoint, CheckpointStore
from trainers.config import TrainConfig
from trainers.data import fingerprint
from trainers.errors import CheckpointError, NotFinite
from trainers.local.exam import Exam
from trainers.local.learner import Learner
from trainers.local.metrics import Numbers, judge_metrics, rollout_metrics
from trainers.local.play import Player
from trainers.local.policy import Policy
from trainers.runs import CHECKPOINTS, same_recipe, score
from trainers.tracking import LOG, Tracker, alone_in
from trainers.wandb_view import wandb_view
from vt_env import ConfigError, Task
from vt_env.judges.models import usage_of

logger = logging.getLogger(__name__)


class LocalTrainer:
    """Trains in this process; see :class:`trainers.base.Trainer`."""

    def train(
        self,
        config: TrainConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train; see :meth:`trainers.base.Trainer.train`.

        Torch's own generator is seeded with the run's seed, and left as it was found.
        """
        with torch.random.fork_rng(), alone_in(out):
            torch.manual_seed(config.seed)
            return self._train(config, out, resume, progress)

    def _train(
        self, config: TrainConfig, out: Path, resume: bool, progress: Progress | None
    ) -> TrainResult:
        store = CheckpointStore(out / CHECKPOINTS, config.checkpoint.keep)
        found = store.newest()
        if found and not resume:
            raise ConfigError(f"{out} holds a run already; resume it, or choose another folder")
        run = Run(config, store, found)
        tracker = Tracker(out, run.step)
        view = wandb_view(
            config.tracking.wandb,
            project=config.tracking.project,
            name=config.name,
            out=out,
            config=asdict(config),
        )
        if view is not None:
            tracker.show(view)
        model = None
        try:
            run.go(tracker, progress)
            model = run.newest.folder / "model" if run.newest else None
        finally:
            run.close()
            tracker.finish(model)
        return run.result(out)


class Run:
    """One run in progress.

    Attributes:
        step: Steps done.
        evaluation: The last evaluation.
        newest: The newest checkpoint.
        origin: Fingerprint of the model that it began with.

    Args:
        config: The recipe.
        store: Its checkpoints.
        found: The checkpoint to go on from; ``None`` begins.

    Raises:
        ConfigError: If the checkpoint belongs to another recipe.
    """

    def __init__(self, config: TrainConfig, store: CheckpointStore, found: Checkpoint | None):
        self.config = config
        self.store = store
        self.newest = found
        self.origin = fingerprint(config.model.path)
        algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
        self.policy = _policy(config, algorithm, found)
        self.learner = Learner(self.policy, algorithm, config)
        self.player = Player(config, self.policy.vlm)
        self.exam = Exam(config, self.policy) if config.data.validation else None
        self.step = 0
        self.evaluation: Numbers = {}
        if found:
            self._load(found)

    def go(self, tracker: Tracker, progress: Progress | None) -> None:
        """Take the steps that are left."""
        while self.step < self.config.steps:
            metrics, shown = self._step()
            self.step += 1
            tracker.log(self.step, metrics)
            tracker.episodes(self.step, shown)
            if self._due(self.config.checkpoint.every, self.step):
                tracker.sync()
                self._save()
            if progress:
                progress(self.step, metrics)

    def result(self, out: Path) -> TrainResult:
        """What is left of a finished run."""
        if self.newest is None:
            raise CheckpointError(f"{self.store.folder} has no checkpoint")
        best = self.store.best()
        sources = {"train": self.player.task.source}
        if self.exam:
            sources["validation"] = self.exam.task.source
        return TrainResult(
            steps=self.step,
            checkpoint=self.newest.folder / "model",
            log=out / LOG,
            best=best.folder / "model" if best else None,
            evaluation=self.evaluation,
            fingerprints={
                "model": self.origin,
                **{name: source.fingerprint() for name, source in sources.items()},
            },
        )

    def _step(self) -> tuple[Numbers, Sequence[Episode]]:
        """Play, learn, and measure where that is due."""
        number, began = self.step + 1, time.perf_counter()
        before = self.player.position, self.player.refused
        with torch.no_grad(), self.policy.precision():
            episodes = self.player.play(number)
        played, updates = time.perf_counter(), self.learner.updates
        try:
            learnt = self.learner.learn(self.player.lesson(episodes), number)
        except NotFinite as error:
            self.player.position, self.player.refused = before
            raise NotFinite(f"{error}; {self._last_good(updates)}") from error
        done = time.perf_counter()
        metrics: Numbers = {
            **learnt,
            **rollout_metrics(episodes, self.config.rollout.group_size),
            "rollout/refused": self.player.refused,
            "time/rollout": played - began,
            "time/learn": done - played,
        }
        shown: Sequence[Episode] = ()
        if self.exam and self._due(self.config.evaluation.every, number):
            self.evaluation, shown = self.exam.sit()
            metrics |= self.evaluation
            metrics["time/evaluation"] = time.perf_counter() - done
        metrics |= judge_metrics(usage_of(task.judge) for task in self._tasks())
        metrics["time/step"] = time.perf_counter() - began
        return metrics, shown

    def close(self) -> None:
        """Let go of what its judges hold."""
        for task in self._tasks():
            task.close()

    def _tasks(self) -> list[Task]:
        return [self.player.task, *([self.exam.task] if self.exam else [])]

    def _due(self, every: int, step: int) -> bool:
        """Whether what is done every so often is due after a step."""
        return step == self.config.steps or (every > 0 and step % every == 0)

    def _last_good(self, updates: int) -> str:
        """Save what was good before a step that failed, if it still is; say what to do."""
        good = self.learner.updates == updates
        if good and self.step and (self.newest is None or self.newest.step != self.step):
            self._save()
        if self.newest is None:
            return "there is no checkpoint yet; begin anew with a lower optimiser.learning_rate"
        return (
            f"the checkpoint of step {self.newest.step} is good: resume from it with a lower "
            "optimiser.learning_rate"
        )

    def _save(self) -> None:
        measured = self.exam and self._due(self.config.evaluation.every, self.step)
        found = score(self.evaluation, self.config) if measured else None
        self.newest = self.store.save(self.step, self._write, found)

    def _write(self, folder: Path) -> None:
        self.policy.save(folder / "model")
        state = {
            "optimiser": self.learner.optimiser.state_dict(),
            "policy": self.policy.state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
        }
        torch.save(state, folder / "state.pt")
        told = {
            "step": self.step,
            "position": self.player.position,
            "refused": self.player.refused,
            "updates": self.learner.updates,
            "origin": self.origin,
            "evaluation": self.evaluation,
            "config": asdict(self.config),
        }
        (folder / "state.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")

    def _load(self, found: Checkpoint) -> None:
        told = _told(found)
        same_recipe(told["config"], self.config)
        if told["origin"] != self.origin:
            raise ConfigError(
                f"the model in {self.config.model.path} is not the one that the run began with, "
                "and is needed for it; put it back, or begin anew in another folder"
            )
        self.step = told["step"]
        self.player.position = told["position"]
        self.player.refused = told["refused"]
        self.learner.updates = told["updates"]
        self.evaluation = told["evaluation"]
        state = torch.load(found.folder / "state.pt", map_location="cpu", weights_only=True)
        self.learner.optimiser.load_state_dict(state["optimiser"])
        self.policy.load_state(state["policy"])
        torch.set_rng_state(state["torch"])
        if len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])


def _policy(config: TrainConfig, algorithm: Algorithm, found: Checkpoint | None) -> Policy:
    return Policy(
        config.model,
        found.folder / "model" if found else None,
        reference=algorithm.kl_coef > 0,
        critic=algorithm.needs_critic,
    )


def _told(found: Checkpoint) -> dict[str, Any]:
    try:
        return json.loads((found.folder / "state.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{found.folder} was not written by this trainer") from error
