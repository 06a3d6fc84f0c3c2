"""The process that leads a run: OpenRLHF's trainer, with our advantages, log and checkpoints."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import torch
from openrlhf.trainer.ppo_trainer import PPOTrainer
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker

from agents import Episode
from trainers.algorithms import make_algorithm
from trainers.checkpoint import CheckpointStore
from trainers.local import policy
from trainers.local.metrics import Numbers, evaluation_metrics, judge_metrics, rollout_metrics
from trainers.openrlhf.learning import Metrics, learn_from
from trainers.openrlhf.run import Run
from trainers.runs import CHECKPOINTS, score
from trainers.tracking import Tracker
from trainers.wandb_view import wandb_view

_TOLD_AS = {
    "policy_loss": "train/policy_loss",
    "entropy_loss": "train/entropy",
    "kl": "train/kl",
    "ppo_kl": "train/old_kl",
    "ppo_clip_ratio": "train/clip_fraction",
    "vllm_kl": "train/engine_kl",
    "is_filter_ratio": "train/engine_filtered",
    "critic_loss": "train/value_loss",
    "actor_grad_norm": "train/grad_norm",
    "actor_lr": "train/learning_rate",
    "timing/generation": "time/rollout",
    "timing/make_experience": "time/experience",
    "timing/ppo_train": "time/learn",
    "timing/broadcast": "time/sync",
}
_TOLD_ELSEWHERE = ("reward_mean", "unscored", "groups_without_signal", "truncated", "tokens")


class ExperienceMaker(RemoteExperienceMaker):
    """OpenRLHF's, with advantages by :func:`trainers.openrlhf.learning.learn_from`.

    Attributes:
        described: What the algorithm told of the last batch.
    """

    described: Metrics = {}
    _pictures: list[Any] = []

    def make_experience(self, samples_list: list[Any]) -> list[Any]:
        """Log-probabilities and values; the critic is shown the pictures too."""
        self._pictures = [sample.mm_train_inputs for sample in samples_list]
        return super().make_experience(samples_list)

    def _dispatch_forward(self, group: Any, sync_condition: Any, **inputs: Any) -> Any:
        if group is self.critic_model_group:
            inputs["mm_train_inputs_list"] = self._pictures
        return super()._dispatch_forward(group, sync_condition, **inputs)

    def compute_advantages_and_returns(self, experiences: list[Any]) -> list[Any]:
        """Advantages, returns and what is trained on."""
        config = Run.read(Path(self.args.train.agent_func_path).parent).config
        kls = [experience.kl for experience in experiences]
        made = super().compute_advantages_and_returns(experiences)
        for experience, kl in zip(made, kls, strict=True):
            experience.kl = kl
        algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
        self.described = learn_from(made, algorithm, config.rollout.group_size)
        for experience in made:
            experience.kl = None
        return made


class Driver(PPOTrainer.__ray_metadata__.modified_class):  # the class that Ray made an actor of
    """Leads the run; OpenRLHF's loop calls what is overridden here."""

    def __init__(self, pretrain: str, strategy: Any, *groups: Any, **generation: Any) -> None:
        self.run = Run.read(Path(strategy.args.train.agent_func_path).parent)
        super().__init__(pretrain, strategy, *groups, **generation)
        self._play_rows_in_order()
        maker = self.experience_maker
        self.experience_maker = ExperienceMaker(
            maker.actor_model_group,
            maker.critic_model_group,
            maker.reward_model_group,
            maker.initial_model_group,
            self.kl_ctl,
            strategy,
            self.tokenizer,
        )
        self.store = CheckpointStore(self.run.out / CHECKPOINTS, self.run.config.checkpoint.keep)
        self.episodes: list[Episode] = []
        self.evaluation: Numbers = {}
        self.began = time.perf_counter()

    def _play_rows_in_order(self) -> None:
        """OpenRLHF shuffles; our rows are shuffled already, epoch by epoch."""
        data = self.prompts_dataloader.dataset
        loader = self.strategy.setup_dataloader(data, 1, True, False, data.collate_fn)
        self.prompts_dataloader = self.samples_generator.prompts_dataloader = loader

    def fit(self, global_step: int = 0) -> None:
        """Train; the log begins where OpenRLHF's saved state ends."""
        self.began = time.perf_counter()
        self.tracker = Tracker(self.run.out, self.run.saved_steps())
        tracking = self.run.config.tracking
        view = wandb_view(
            tracking.wandb,
            project=tracking.project,
            name=self.run.config.name,
            out=self.run.out,
            config=asdict(self.run.config),
        )
        if view is not None:
            self.tracker.show(view)
        model = None
        try:
            super().fit(global_step)
            newest = self.store.newest()
            model = newest.folder / "model" if newest else None
        finally:
            self.tracker.finish(model)

    def train_step(self, rollout_samples: list[Any], global_step: int) -> tuple[dict, int]:
        """One step, whose episodes are kept for the log."""
        self.episodes = [episode for sample in rollout_samples for episode in sample.labels]
        return super().train_step(rollout_samples, global_step)

    def save_logs_and_checkpoints(
        self,
        global_step: int,
        logs_dict: Mapping[str, Any] | None = None,
        client_states: dict[str, Any] | None = None,
    ) -> None:
        """After every step: measure where that is due, write the log, then save."""
        config = self.run.config
        metrics = self._metrics(logs_dict or {})
        shown: Sequence[Episode] = ()
        measured = self.eval_dataloader and self._due(config.evaluation.every, global_step)
        if measured:
            before = time.perf_counter()
            self.evaluation, shown = self._exam()
            metrics |= self.evaluation
            metrics["time/evaluation"] = time.perf_counter() - before
        metrics |= judge_metrics(self.run.judging())
        metrics["time/step"] = time.perf_counter() - self.began
        self.began = time.perf_counter()
        self.tracker.log(global_step, metrics)
        self.tracker.episodes(global_step, shown)
        if self._due(config.checkpoint.every, global_step):
            self.tracker.sync()
            found = score(self.evaluation, config) if measured else None
            self._save(global_step, client_states or {}, found)

    def _due(self, every: int, step: int) -> bool:
        return step == self.run.config.steps or (every > 0 and step % every == 0)

    def _metrics(self, status: Mapping[str, Any]) -> Numbers:
        """OpenRLHF's numbers under the log's names, and those of the episodes."""
        described = self.experience_maker.described
        return {
            **{name: status[key] for key, name in _TOLD_AS.items() if key in status},
            **{f"train/{k}": v for k, v in described.items() if k not in _TOLD_ELSEWHERE},
            **rollout_metrics(self.episodes, self.run.config.rollout.group_size),
            "rollout/refused": self.run.refused,
        }

    @torch.no_grad()
    def _exam(self) -> tuple[Numbers, list[Episode]]:
        """Play the validation split greedily, once each."""
        samples = self.samples_generator.generate_eval_samples(
            **{**self.generate_kwargs, "temperature": 0.0, "n_samples_per_prompt": 1}
        )
        episodes = [episode for sample in samples for episode in sample.labels]
        shown = [episode for episode in episodes if episode.views]
        return {**evaluation_metrics(episodes), "eval/n": len(episodes)}, shown

    def _save(self, step: int, states: dict[str, Any], score: float | None) -> None:
        """OpenRLHF's state for a resume, and a checkpoint as every trainer writes it."""
        tag = f"global_step{step}"
        saving = self.actor_model_group.async_run_method(
            method_name="save_checkpoint", tag=tag, client_states=states
        )
        if self.critic_model_group is not None:
            saving += self.critic_model_group.async_run_method("save_checkpoint", tag=tag)
        ray.get(saving)
        saved = self.run.folder / "state" / f"{tag}_hf"

        def write(folder: Path) -> None:
            shutil.move(saved, folder / "model")
            complete(folder / "model", self.run.model)

        self.store.save(step, write, score)


def complete(model: Path, source: str) -> None:
    """Add what OpenRLHF leaves out of a saved model: the files of its processor.

    Args:
        model: Where weights and tokenizer were saved.
        source: The checkpoint that the run began with.
    """
    if not Path(source).is_dir():
        from transformers import AutoProcessor

        AutoProcessor.from_pretrained(source).save_pretrained(model)
        return
    policy.complete(model, Path(source))


RayDriver = ray.remote(Driver)
