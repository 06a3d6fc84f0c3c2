"""A recipe's run through TRL: its order of samples, log, evaluations and checkpoints."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from agents import Episode
from agents.models.loading import load_vlm, load_words, quiet
from trainers.base import Progress, TrainResult
from trainers.checkpoint import Checkpoint, CheckpointStore
from trainers.config import TrainConfig
from trainers.data import fingerprint, task_of
from trainers.errors import CheckpointError
from trainers.local.exam import Exam
from trainers.local.metrics import Numbers
from trainers.local.policy import complete, precision
from trainers.order import training_order
from trainers.runs import CHECKPOINTS, same_recipe, score
from trainers.tracking import LOG, Tracker
from trainers.trl.adapter import adapt
from trainers.trl.log import told
from trainers.trl.scoring import Scoring
from trainers.trl.settings import checked, settings, updates
from trainers.wandb_view import wandb_view
from vt_env.errors import ConfigError

_STATE = "state.json"


class Policy:
    """TRL's model, as the evaluation measures it.

    Args:
        config: The recipe.
        model: The model.
    """

    def __init__(self, config: TrainConfig, model: Any) -> None:
        words = load_words(config.model.path)
        self.vlm = type(words)(model, words.tokenizer, words.image_processor)
        self.config = config.model

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Run forward passes in the recipe's dtype."""
        with precision(self.config, self.vlm.device):
            yield


class Run(TrainerCallback):
    """One run in progress; TRL's loop calls what begins with ``on_``.

    Args:
        config: The recipe.
        out: The run's folder.
        resume: Go on from the newest checkpoint.

    Raises:
        ConfigError: If ``out`` holds another run, or settings contradict each other.
    """

    def __init__(self, config: TrainConfig, out: Path, *, resume: bool) -> None:
        self.config = config
        self.out = out
        self.store = CheckpointStore(out / CHECKPOINTS, config.checkpoint.keep)
        self.newest = self.store.newest()
        if self.newest and not resume:
            raise ConfigError(f"{out} holds a run already; resume it, or choose another folder")
        self.origin = fingerprint(config.model.path)
        self.step = 0
        self.evaluation: Numbers = {}
        if self.newest:
            self._recall(self.newest)
        self.task = task_of(config.data.train, config.environment)
        self.trainer, self.scoring, self.refused = self._trainer()
        self.exam = None
        if config.data.validation:
            model = self.trainer.accelerator.unwrap_model(self.trainer.model)
            self.exam = Exam(config, Policy(config, model))
        self.progress: Progress | None = None
        self.began = time.perf_counter()

    def _trainer(self) -> tuple[Any, Scoring, int]:
        """TRL's trainer, its reward function's object, and how many pictures were refused."""
        from trl import GRPOConfig

        config, path = self.config, self.config.model.path
        algorithm = checked(config)
        policy = load_vlm(path, dtype="float32", device="cpu")
        order, found = training_order(self.task, policy, config)
        gpu = config.model.device != "cpu" and torch.cuda.is_available()
        longest = max(length.whole for length in found.longest.values())
        made = settings(config, algorithm, longest, gpu=gpu)
        if config.model.freeze_vision:
            policy.model.model.visual.requires_grad_(False)
        size = config.rollout.group_size
        adapter = adapt(self.task, path, group_size=size, reward=config.reward, ids=order)
        chosen = GRPOConfig(output_dir=str(self.out / "trl"), **made)
        trainer = adapter.grpo(policy.model, chosen, callbacks=[self])
        trainer.remove_callback(PrinterCallback)
        return trainer, adapter.scoring, len(found.refused)

    def go(self, progress: Progress | None) -> TrainResult:
        """Take the steps that are left."""
        self.progress = progress
        self.tracker = Tracker(self.out, self.step)
        tracking = self.config.tracking
        view = wandb_view(
            tracking.wandb,
            project=tracking.project,
            name=self.config.name,
            out=self.out,
            config=asdict(self.config),
        )
        if view is not None:
            self.tracker.show(view)
        model = None
        try:
            if self.step < self.config.steps:
                self.scoring.episodes = []
                with quiet():
                    self.trainer.train(resume_from_checkpoint=self._resumed())
            model = self.newest.folder / "model" if self.newest else None
        finally:
            self.task.close()
            if self.exam:
                self.exam.task.close()
            self.tracker.finish(model)
        shutil.rmtree(self.out / "trl", ignore_errors=True)
        return self._result()

    def _resumed(self) -> str | None:
        """Where TRL finds its state again, weights excepted, which are put back here.

        In a file they have other names than in the model; transformers 5.23 says so and goes on.
        """
        if self.newest is None:
            return None
        saved = self.newest.folder / "model"
        weights = load_vlm(saved, dtype="float32", device="cpu").model.state_dict()
        self.trainer.accelerator.unwrap_model(self.trainer.model).load_state_dict(weights)
        return str(saved)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The clock starts."""
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After an update: whether a step is over, and a checkpoint due."""
        step, left = divmod(state.global_step, updates(self.config))
        control.should_save = left == 0 and self._due(self.config.checkpoint.every, step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """After a step: measure where that is due, and write the log."""
        if not logs or "loss" not in logs:
            return
        self.step = state.global_step // updates(self.config)
        metrics = {**told(logs, self.scoring), "rollout/refused": self.refused}
        shown: Sequence[Episode] = ()
        if self.exam and self._due(self.config.evaluation.every, self.step):
            before = time.perf_counter()
            self.evaluation, shown = self._measure(self.exam)
            metrics |= self.evaluation
            metrics["time/evaluation"] = time.perf_counter() - before
        now = time.perf_counter()
        metrics["time/step"] = now - self.began
        self.began = now
        self.tracker.log(self.step, metrics)
        self.tracker.episodes(self.step, shown)
        if self.progress:
            self.progress(self.step, metrics)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """TRL saved: its folder, made whole, becomes a checkpoint as every trainer writes it."""
        saved = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.tracker.sync()

        def write(folder: Path) -> None:
            shutil.move(saved, folder / "model")
            if Path(self.config.model.path).is_dir():
                complete(folder / "model", Path(self.config.model.path))
            kept = {"evaluation": self.evaluation, "origin": self.origin}
            told = json.dumps({**kept, "config": asdict(self.config)}, indent=2)
            (folder / _STATE).write_text(told + "\n", "utf-8")

        measured = self.exam and self._due(self.config.evaluation.every, self.step)
        found = score(self.evaluation, self.config) if measured else None
        self.newest = self.store.save(self.step, write, found)

    def _measure(self, exam: Exam) -> tuple[Numbers, list[Episode]]:
        model = self.trainer.model
        was = model.training
        model.eval()
        try:
            return exam.sit()
        finally:
            model.train(was)

    def _due(self, every: int, step: int) -> bool:
        return step == self.config.steps or (every > 0 and step % every == 0)

    def _recall(self, found: Checkpoint) -> None:
        try:
            told = json.loads((found.folder / _STATE).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{found.folder} was not written by this trainer") from error
        same_recipe(told["config"], self.config)
        if told["origin"] != self.origin:
            raise ConfigError(
                f"the model in {self.config.model.path} is not the one that the run began with, "
                "and is needed for it; put it back, or begin anew in another folder"
            )
        self.step, self.evaluation = found.step, told["evaluation"]

    def _result(self) -> TrainResult:
        if self.newest is None:
            raise CheckpointError(f"{self.store.folder} has no checkpoint")
        best = self.store.best()
        sources = {"train": self.task.source}
        if self.exam:
            sources["validation"] = self.exam.task.source
        return TrainResult(
            steps=self.step,
            checkpoint=self.newest.folder / "model",
            log=self.out / LOG,
            best=best.folder / "model" if best else None,
            evaluation=self.evaluation,
            fingerprints={
                "model": self.origin,
                **{name: source.fingerprint() for name, source in sources.items()},
            },
        )
