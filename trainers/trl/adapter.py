"""What TRL's trainers take, made of a task and a policy, and what they tell the log."""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import TrainerCallback

from agents.models.loading import load_processor, quiet
from trainers.config import MAX_FAILED
from trainers.metrics import Numbers, judge_metrics, rollout_metrics
from trainers.tracking import LOG, Tracker
from trainers.trl.environment import VisionThink, opener
from trainers.trl.processor import Processor
from trainers.trl.scoring import Scoring
from vt_env.errors import ConfigError
from vt_env.marks import safe
from vt_env.rewards import RewardConfig
from vt_env.task import Task

_LOG_NAMES = {
    "loss": "train/policy_loss",
    "kl": "train/kl",
    "entropy": "train/entropy",
    "clip_ratio/region_mean": "train/clip_fraction",
    "grad_norm": "train/grad_norm",
    "learning_rate": "train/learning_rate",
}


def logged(logs: Mapping[str, Any], scoring: Scoring) -> Numbers:
    """A line of the log.

    Args:
        logs: What TRL says of the updates since it last did.
        scoring: Has the episodes since.
    """
    return {
        **{name: logs[key] for key, name in _LOG_NAMES.items() if key in logs},
        **rollout_metrics(scoring.take(), scoring.group_size),
        **judge_metrics([scoring.task.judge.usage]),
    }


class Log(TrainerCallback):
    """Writes a line each time TRL logs; ``step`` is the number of updates.

    Args:
        tracker: The log.
        scoring: Has the episodes.
    """

    def __init__(self, tracker: Tracker, scoring: Scoring) -> None:
        self.tracker = tracker
        self.scoring = scoring
        self.scoring.episodes = []
        self._began = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The clock starts."""
        self._began = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """TRL logged."""
        if not logs or "loss" not in logs or not self.scoring.episodes:
            return
        now = time.perf_counter()
        line = {**logged(logs, self.scoring), "time/step": now - self._began}
        self._began = now
        self.tracker.log(state.global_step, line)


@dataclass(frozen=True, slots=True)
class Adapter:
    """See :func:`adapt`.

    Attributes:
        dataset: A row a sample: ``prompt``, which the environment completes, and ``sample_id``.
        environment: Makes an environment.
        scoring: Has the reward function.
        processor: The policy's processor.
        task: What is played.
    """

    dataset: Dataset
    environment: Callable[[], VisionThink]
    scoring: Scoring
    processor: Processor
    task: Task

    def arguments(self) -> dict[str, Any]:
        """Arguments of a trainer of TRL that takes an ``environment_factory``."""
        return {
            "train_dataset": self.dataset,
            "environment_factory": self.environment,
            "reward_funcs": self.scoring.reward,
            "processing_class": self.processor,
        }

    def grpo(self, policy: Any, settings: Any, **more: Any) -> Any:
        """TRL's ``GRPOTrainer``, whose loss leaves out unscored rollouts.

        Args:
            policy: A model, or its folder or name on the Hugging Face Hub.
            settings: A ``GRPOConfig``; see :meth:`fit`.
            **more: Further arguments of ``GRPOTrainer``.
        """
        from trainers.trl.grpo import ScoredGRPOTrainer

        self.fit(settings)
        with warnings.catch_warnings(), quiet():
            warnings.filterwarnings("ignore", ".*environment_factory.* experimental", UserWarning)
            return ScoredGRPOTrainer(policy, args=settings, **self.arguments(), **more)

    def fit(self, settings: Any) -> None:
        """Put into TRL's settings what the environment decides.

        A turn may be followed by calls as often as the protocol says, and some tokens may not be
        said (:attr:`~trainers.trl.processor.Processor.forbidden`): TRL drops all pictures of a
        batch in which one stands for a picture.

        Args:
            settings: A ``GRPOConfig``; it is changed.

        Raises:
            ConfigError: If they contradict the environment.
        """
        decided = {
            "num_generations": self.scoring.group_size,
            "max_tool_calling_iterations": self.task.protocol.max_turns - 1,
        }
        for name, value in decided.items():
            if getattr(settings, name) not in (None, value):
                raise ConfigError(
                    f"{name} must be {value} for this environment, got {getattr(settings, name)}"
                )
            setattr(settings, name, value)
        forbidden = self.processor.forbidden
        never: Mapping[str, Any] = {"suppress_tokens": forbidden}
        if settings.use_vllm:
            never = {"logit_bias": dict.fromkeys(forbidden, -100.0)}
        settings.generation_kwargs = {**never, **(settings.generation_kwargs or {})}


def adapt(
    task: Task,
    model: str | Path,
    *,
    group_size: int,
    reward: RewardConfig | None = None,
    ids: Sequence[str] | None = None,
    max_failed: float = MAX_FAILED,
) -> Adapter:
    """What TRL's trainers take.

    Args:
        task: Data, rules and judge.
        model: The policy: a folder, or a name on the Hugging Face Hub.
        group_size: Rollouts of each sample: TRL's ``num_generations``.
        reward: Weights and penalty; the paper's by default.
        ids: The samples of the rows, in order; all by default.
        max_failed: Share of the last questions whose pictures may be refused, in [0, 1].

    Raises:
        ConfigError: If the model cannot be read, or is of a line that is not handled.
    """
    processor = load_processor(model)
    prompt = [
        {"role": "system", "content": safe(task.protocol.system)},
        {"role": "user", "content": ""},
    ]
    ids = list(task.source.ids() if ids is None else ids)
    mine = Processor(processor)
    return Adapter(
        dataset=Dataset.from_dict({"prompt": [prompt] * len(ids), "sample_id": ids}),
        environment=partial(VisionThink, opener(task), mine.speaking),
        scoring=Scoring(task, reward or RewardConfig(), group_size, processor, max_failed),
        processor=mine,
        task=task,
    )


def grpo_trainer(
    model: str | Path,
    task: Task,
    settings: Any,
    *,
    reward: RewardConfig | None = None,
    ids: Sequence[str] | None = None,
    out: Path | None = None,
    policy: Any = None,
    **more: Any,
) -> Any:
    """TRL's ``GRPOTrainer`` on the environment; ``.train()`` trains.

    Args:
        model: The policy: a folder, or a name on the Hugging Face Hub.
        task: Data, rules and judge; see :func:`vt_env.make_task`.
        settings: A ``trl.GRPOConfig``. What the environment decides is put into it.
        reward: Weights and penalty; the paper's by default.
        ids: The samples to play; all by default. TRL shuffles them unless
            ``settings.shuffle_dataset`` is false.
        out: A folder for ``metrics.jsonl``, a line each time TRL logs, under the names of the other
            trainers; none is written by default.
        policy: The model, where it is loaded already.
        **more: Further arguments of ``GRPOTrainer``.

    Raises:
        ConfigError: If settings contradict the environment, the model cannot be read, or ``out``
            holds a log.
    """
    if out is not None and (out / LOG).exists():
        raise ConfigError(f"{out} holds a run already; choose another folder")
    adapter = adapt(task, model, group_size=settings.num_generations, reward=reward, ids=ids)
    trainer = adapter.grpo(policy or str(model), settings, **more)
    if out is not None and trainer.accelerator.is_main_process:
        out.mkdir(parents=True, exist_ok=True)
        trainer.add_callback(Log(Tracker(out), adapter.scoring))
    return trainer
