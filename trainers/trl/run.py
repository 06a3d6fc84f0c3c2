"""A recipe's run through TRL: its order of samples, log, evaluations and checkpoints."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from agents import Episode
from agents.models.loading import load_processor, load_vlm, quiet
from trainers.base import Progress, TrainResult
from trainers.config import TrainConfig
from trainers.data import commits, fingerprints, task_of
from trainers.files import linked
from trainers.lengths import training_order
from trainers.metrics import Numbers, before_training
from trainers.models import Validation, complete
from trainers.provenance import record_start
from trainers.runs import (
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
from trainers.trl.adapter import adapt, logged
from trainers.trl.scoring import Scoring
from trainers.trl.settings import checked, settings, updates


class TRLRun(TrainerCallback):
    """One run in progress; TRL's loop calls what begins with ``on_``.

    Args:
        config: The recipe.
        out: The run's folder; it goes on from the newest checkpoint there.

    Raises:
        ConfigError: If ``out`` holds another run, or settings contradict each other.
    """

    def __init__(self, config: TrainConfig, out: Path) -> None:
        self.config = config
        self.out = out
        self.store = store_of(config, out)
        found = self.store.newest()
        self.step = 0
        self.evaluation: Numbers = {}
        self.before: Numbers = {}
        state = state_of(found) if found else None
        if state:
            same_recipe(state["config"], config, "optimiser.microbatch")
        self.task = task_of(config.data.train, config.environment)
        self.trainer, self.scoring, self.refused = self._trainer()
        self.validation = self._validation() if config.data.validation else None
        self.fingerprints = fingerprints(
            config, self.task, self.validation and self.validation.task
        )
        self.commits = commits(config, self.task, self.validation and self.validation.task)
        if state and found:
            same_start(state["fingerprints"], self.fingerprints, config)
            self.step, self.evaluation = found.step, state["evaluation"]
        self.progress: Progress | None = None
        self.began = time.perf_counter()

    def _validation(self) -> Validation:
        processor = load_processor(self.config.model.path)
        model = self.trainer.accelerator.unwrap_model(self.trainer.model)
        vlm = type(processor)(model, processor.tokenizer, processor.image_processor)
        return Validation(self.config, vlm)

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
        adapter = adapt(
            self.task,
            path,
            group_size=size,
            reward=config.reward,
            ids=order,
            max_failed=config.rollout.max_failed,
        )
        chosen = GRPOConfig(output_dir=str(self.out / "trl"), **made)
        trainer = adapter.grpo(policy.model, chosen, callbacks=[self])
        trainer.remove_callback(PrinterCallback)
        return trainer, adapter.scoring, len(found.refused)

    def go(self, progress: Progress | None) -> TrainResult:
        """Take the steps that are left."""
        self.progress = progress
        record_start(self.out, self.step, self.fingerprints, self.commits)
        self.store.check_room(3 * sum(p.nbytes for p in self.trainer.model.parameters()))
        try:
            with tracked(self.config, self.store, self.out, self.step) as self.tracker:
                if self.step < self.config.steps:
                    self.scoring.episodes = []
                    with quiet():
                        self.trainer.train(resume_from_checkpoint=self._resumed())
        finally:
            self.task.close()
            if self.validation:
                self.validation.task.close()
        shutil.rmtree(self.out / "trl", ignore_errors=True)
        return result_of(self.config, self.store, self.out, self.evaluation, self.fingerprints)

    def _resumed(self) -> str | None:
        """Where TRL finds its state again, weights excepted, which are put back here.

        In a file they have other names than in the model; transformers 5.23 says so and goes on.
        """
        if self.store.last is None:
            return None
        saved = self.store.last.folder / "model"
        weights = load_vlm(saved, dtype="float32", device="cpu").model.state_dict()
        self.trainer.accelerator.unwrap_model(self.trainer.model).load_state_dict(weights)
        return str(saved)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure before the first step, where the recipe asks for it; then the clock starts."""
        if self.config.early and self.step == 0 and self.validation:
            self.before = before_training(self._measure(self.validation)[0])
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After an update: whether a step is over, and a checkpoint due."""
        step, left = divmod(state.global_step, updates(self.config))
        control.should_save = left == 0 and save_is_due(self.config, step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """After a step: measure where that is due, and write the log."""
        if not logs or "loss" not in logs:
            return
        self.step = state.global_step // updates(self.config)
        metrics = {**logged(logs, self.scoring), "rollout/refused": self.refused, **self.before}
        self.before = {}
        shown: Sequence[Episode] = ()
        if self.validation and is_due(self.config, self.config.evaluation.every, self.step):
            before = time.perf_counter()
            self.evaluation, shown = self._measure(self.validation)
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
            linked(saved, folder / "model")
            if Path(self.config.model.path).is_dir():
                complete(folder / "model", self.config.model.path)
            write_state(
                folder, self.config, evaluation=self.evaluation, fingerprints=self.fingerprints
            )

        measured = self.validation and is_due(self.config, self.config.evaluation.every, self.step)
        found = score(self.evaluation, self.config) if measured else None
        self.store.save(self.step, write, found)
        shutil.rmtree(saved)

    def _measure(self, validation: Validation) -> tuple[Numbers, list[Episode]]:
        model = self.trainer.model
        was = model.training
        model.eval()
        try:
            return validation.run()
        finally:
            model.train(was)
