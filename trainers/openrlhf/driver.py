"""The process that leads a run: OpenRLHF's trainer, with our advantages, log and checkpoints."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
from openrlhf.trainer.ppo_trainer import PPOTrainer
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker

from agents import Episode
from trainers.algorithms import make_algorithm
from trainers.checkpoint import check_room
from trainers.metrics import (
    LOGGED_ELSEWHERE,
    Numbers,
    before_training,
    evaluation_metrics,
    judge_metrics,
    rollout_metrics,
)
from trainers.openrlhf.learning import Metrics, learn_from
from trainers.openrlhf.run import OpenRLHFRun
from trainers.runs import is_due, save_is_due, score, store_of, tracked

_LOG_NAMES = {
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
        config = OpenRLHFRun.read(Path(self.args.train.agent_func_path).parent).config
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
        self.run = OpenRLHFRun.read(Path(strategy.args.train.agent_func_path).parent)
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
        self.store = store_of(self.run.config, self.run.out)
        self.store.newest()
        self.episodes: list[Episode] = []
        self.evaluation: Numbers = {}
        self.before: Numbers = {}
        self.began = time.perf_counter()

    def _play_rows_in_order(self) -> None:
        """OpenRLHF shuffles; our rows are shuffled already, epoch by epoch."""
        data = self.prompts_dataloader.dataset
        loader = self.strategy.setup_dataloader(data, 1, True, False, data.collate_fn)
        self.prompts_dataloader = self.samples_generator.prompts_dataloader = loader

    def fit(self, global_step: int = 0) -> None:
        """Train; the log begins where OpenRLHF's saved state ends."""
        self.began = time.perf_counter()
        run, done = self.run, self.run.saved_steps()
        with tracked(run.config, self.store, run.out, done) as self.tracker:
            if run.config.early and done == 0 and self.eval_dataloader:
                self.before = before_training(self._measure()[0])
            super().fit(global_step)

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
        metrics = self._metrics(logs_dict or {}) | self.before
        self.before = {}
        shown: Sequence[Episode] = ()
        measured = self.eval_dataloader and is_due(config, config.evaluation.every, global_step)
        if measured:
            before = time.perf_counter()
            self.evaluation, shown = self._measure()
            metrics |= self.evaluation
            metrics["time/evaluation"] = time.perf_counter() - before
        metrics |= judge_metrics(self.run.judge_usage())
        metrics["time/step"] = time.perf_counter() - self.began
        self.began = time.perf_counter()
        self.tracker.log(global_step, metrics)
        self.tracker.episodes(global_step, shown)
        if save_is_due(config, global_step):
            self.tracker.sync()
            found = score(self.evaluation, config) if measured else None
            self._save(global_step, client_states or {}, found)

    def _metrics(self, status: Mapping[str, Any]) -> Numbers:
        """OpenRLHF's numbers under the log's names, and those of the episodes."""
        described = self.experience_maker.described
        return {
            **{name: status[key] for key, name in _LOG_NAMES.items() if key in status},
            **{f"train/{k}": v for k, v in described.items() if k not in LOGGED_ELSEWHERE},
            **rollout_metrics(self.episodes, self.run.config.rollout.group_size),
            "rollout/refused": self.run.refused,
        }

    @torch.no_grad()
    def _measure(self) -> tuple[Numbers, list[Episode]]:
        """Play the validation split greedily, once each."""
        samples = self.samples_generator.generate_eval_samples(
            **{**self.generate_kwargs, "temperature": 0.0, "n_samples_per_prompt": 1}
        )
        episodes = [episode for sample in samples for episode in sample.labels]
        shown = [episode for episode in episodes if episode.views]
        return {**evaluation_metrics(episodes), "eval/n": len(episodes)}, shown

    def _save(self, step: int, states: dict[str, Any], score: float | None) -> None:
        """OpenRLHF's state for a resume, and a checkpoint as every trainer writes it."""
        check_room(self.run.states, self.run.state_bytes(), f"state and the model of step {step}")
        tag = f"global_step{step}"
        saving = self.actor_model_group.async_run_method(
            method_name="save_checkpoint", tag=tag, client_states=states
        )
        if self.critic_model_group is not None:
            saving += self.critic_model_group.async_run_method("save_checkpoint", tag=tag)
        ray.get(saving)
        self.run.note_model(step)
        self.store.save(step, lambda folder: self.run.copy_model(step, folder), score)
        self.run.prune()


RayDriver = ray.remote(Driver)
