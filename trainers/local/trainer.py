"""The training loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from agents import Episode
from trainers.algorithms import make_algorithm
from trainers.base import Progress, TrainResult
from trainers.checkpoint import Checkpoint, CheckpointStore
from trainers.config import TrainConfig
from trainers.data import commits, fingerprints
from trainers.errors import NotFinite
from trainers.local.learner import Learner
from trainers.local.play import Player
from trainers.local.policy import Policy
from trainers.metrics import Numbers, before_training, judge_metrics, rollout_metrics
from trainers.models import Validation
from trainers.provenance import record_start
from trainers.runs import (
    RunTrainer,
    is_due,
    result_of,
    same_recipe,
    same_start,
    save_is_due,
    score,
    state_of,
    store_of,
    tracked,
    write_state,
)
from trainers.tracking import Tracker
from vt_env import Task

logger = logging.getLogger(__name__)


class LocalTrainer(RunTrainer):
    """Trains in this process."""

    def run(self, config: TrainConfig, out: Path, progress: Progress | None) -> TrainResult:
        """Train; torch's own generator gets the run's seed, and is left as it was found."""
        store = store_of(config, out)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            run = LocalRun(config, store, store.newest())
            try:
                store.check_room(run.policy.saved_bytes())
                record_start(out, run.step, run.fingerprints, run.commits)
                with tracked(config, store, out, run.step) as tracker:
                    run.go(tracker, progress)
            finally:
                run.close()
        return result_of(config, store, out, run.evaluation, run.fingerprints)


class LocalRun:
    """One run in progress.

    Attributes:
        step: Steps done.
        evaluation: The last evaluation.
        fingerprints: Of the model and the data, see :class:`trainers.base.TrainResult`.
        commits: Of both on the Hub, see :func:`trainers.data.commits`.

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
        algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
        self.policy = Policy(
            config.model,
            found.folder / "model" if found else None,
            reference=algorithm.kl_coef > 0,
            critic=algorithm.needs_critic,
        )
        self.learner = Learner(self.policy, algorithm, config)
        self.player = Player(config, self.policy.vlm)
        self.validation = None
        if config.data.validation:
            self.validation = Validation(config, self.policy.vlm)
        self.step = 0
        self.evaluation: Numbers = {}
        self.fingerprints = fingerprints(
            config, self.player.task, self.validation and self.validation.task
        )
        self.commits = commits(config, self.player.task, self.validation and self.validation.task)
        if found:
            self._load(found)

    def go(self, tracker: Tracker, progress: Progress | None) -> None:
        """Take the steps that are left."""
        before: Numbers = {}
        if self.config.early and self.step == 0 and self.validation:
            before = before_training(self.validation.run()[0])
        while self.step < self.config.steps:
            metrics, shown = self._step()
            metrics, before = metrics | before, {}
            self.step += 1
            tracker.log(self.step, metrics)
            tracker.episodes(self.step, shown)
            if save_is_due(self.config, self.step):
                tracker.sync()
                self._save()
            if progress:
                progress(self.step, metrics)

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
        if self.validation and is_due(self.config, self.config.evaluation.every, number):
            self.evaluation, shown = self.validation.run()
            metrics |= self.evaluation
            metrics["time/evaluation"] = time.perf_counter() - done
        metrics |= judge_metrics(task.judge.usage for task in self._tasks())
        metrics["time/step"] = time.perf_counter() - began
        return metrics, shown

    def close(self) -> None:
        """Let go of what its judges hold."""
        for task in self._tasks():
            task.close()

    def _tasks(self) -> list[Task]:
        return [self.player.task, *([self.validation.task] if self.validation else [])]

    def _last_good(self, updates: int) -> str:
        """Save what was good before a step that failed, if it still is; say what to do."""
        good = self.learner.updates == updates
        if good and self.step and (self.store.last is None or self.store.last.step != self.step):
            self._save()
        if self.store.last is None:
            return "there is no checkpoint yet; begin anew with a lower optimiser.learning_rate"
        return (
            f"the checkpoint of step {self.store.last.step} is good: resume from it with a lower "
            "optimiser.learning_rate"
        )

    def _save(self) -> None:
        measured = self.validation and is_due(self.config, self.config.evaluation.every, self.step)
        found = score(self.evaluation, self.config) if measured else None
        self.store.save(self.step, self._write, found)

    def _write(self, folder: Path) -> None:
        self.policy.save(folder / "model")
        tensors = {
            "optimiser": self.learner.optimiser.state_dict(),
            "policy": self.policy.state(),
        }
        torch.save(tensors, folder / "state.pt")
        write_state(
            folder,
            self.config,
            step=self.step,
            position=self.player.position,
            refused=self.player.refused,
            updates=self.learner.updates,
            fingerprints=self.fingerprints,
            evaluation=self.evaluation,
        )

    def _load(self, found: Checkpoint) -> None:
        state = state_of(found)
        same_recipe(state["config"], self.config, "optimiser")
        same_start(state["fingerprints"], self.fingerprints, self.config)
        self.step = state["step"]
        self.player.position = state["position"]
        self.player.refused = state["refused"]
        self.learner.updates = state["updates"]
        self.evaluation = state["evaluation"]
        tensors = torch.load(found.folder / "state.pt", map_location="cpu", weights_only=True)
        self.learner.load_state(tensors["optimiser"])
        self.policy.load_state(tensors["policy"])
