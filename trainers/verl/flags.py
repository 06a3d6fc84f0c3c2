"""From a recipe to verl's settings. Pure: nothing is imported, read or started.

Whatever a recipe says and verl cannot do is refused here, before anything runs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trainers.config import TrainConfig
from vt_env.protocol import make_protocol

if TYPE_CHECKING:
    from trainers.algorithms import Algorithm
    from trainers.verl.run import VerlRun

ALGORITHMS = "grpo", "dapo", "gspo", "dr_grpo", "rloo", "reinforce++", "reinforce++-baseline"
"""Those without a critic."""

_LOSSES = {
    "token_mean": "token-mean",
    "sequence_mean": "seq-mean-token-mean",
    "constant": "seq-mean-token-sum-norm",
}
_KLS = {"k1": "kl", "k2": "mse", "k3": "low_var_kl"}
_SCHEDULES = {"none": "constant", "cosine": "cosine"}
_PLAIN = re.compile(r"[\w./:+-]+")


def save_every(config: TrainConfig) -> int:
    """Steps from one state that verl saves to the next; it saves the last one always."""
    return config.checkpoint.every or config.steps


def estimator_of(algorithm: str, *, over_rollouts: bool = False) -> str:
    """verl's name for an algorithm's advantages.

    Args:
        algorithm: Its name.
        over_rollouts: Whether the loss is a mean over rollouts; see
            :func:`trainers.verl.hooks.per_scored`.
    """
    return f"visionthink-{algorithm}{'-over-rollouts' if over_rollouts else ''}"


def checked(config: TrainConfig) -> Algorithm:
    """The recipe's algorithm; see :func:`trainers.refusing.accepted`.

    Raises:
        ConfigError: On what verl cannot do.
    """
    from trainers.refusing import accepted

    return accepted(config, "verl", _refusals)


def _refusals(config: TrainConfig, algorithm: Algorithm) -> dict[str, bool]:
    from trainers.refusing import not_on_ray

    name, machines, rollout = config.algorithm.name, config.verl, config.rollout
    learners = machines.nodes * machines.gpus_per_node
    return {
        f"the algorithm {name!r}; set algorithm.name to one of {', '.join(ALGORITHMS)}": (
            name not in ALGORITHMS
        ),
        "further questions in place of groups without signal; set rollout.rounds=1 (verl's own way "
        "is verl.overrides=['algorithm.filter_groups.enable=true', "
        "'algorithm.filter_groups.metric=total'])": rollout.rounds > 1,
        **not_on_ray(config, algorithm, machines, unit=rollout.group_size),
        "freezing the vision tower: verl 0.9 has a setting for it, which nothing reads; set "
        "model.freeze_vision=false": config.model.freeze_vision,
        "probes: its estimators cannot leave single tokens out; set rollout.probes=0 and no "
        "rollout.arm": rollout.forces,
        "masking truncated rollouts whose rewards still count; set "
        "algorithm.options.mask_truncated=false": algorithm.mask_truncated,
        "dropping groups that count in statistics of the whole batch; set "
        "algorithm.options.drop_without_signal=false": (
            algorithm.drop_without_signal and name.startswith("reinforce++")
        ),
        "a KL in the reward beside our advantages; set algorithm.options.kl_in=loss and "
        "algorithm.options.kl_estimator=k3": algorithm.kl_coef > 0 and algorithm.kl_in == "reward",
        "a KL in the loss, or an entropy bonus, that is averaged over rollouts: it divides by "
        "unscored ones too; set algorithm.options.aggregation=token_mean, or "
        "algorithm.options.kl_coef=0 and algorithm.entropy=0": (
            over_rollouts(algorithm) and (algorithm.kl_coef > 0 or config.algorithm.entropy > 0)
        ),
        "several updates a step with a loss that is averaged over rollouts: it divides by unscored "
        "ones too, and how many a minibatch has is not known; set optimiser.minibatches=1, or "
        "algorithm.options.aggregation=token_mean": (
            over_rollouts(algorithm) and config.optimiser.minibatches > 1
        ),
        "a horizon that is no whole number; round algorithm.options.horizon": (
            algorithm.aggregation == "constant" and algorithm.horizon != int(algorithm.horizon)
        ),
        "this fall of the learning rate; set optimiser.decay to none or cosine": (
            config.optimiser.decay not in _SCHEDULES
        ),
        f"{learners} GPUs do not divide into engines of {machines.engine_gpus}; change "
        "verl.engine_gpus": learners % machines.engine_gpus > 0,
    }


def over_rollouts(algorithm: Algorithm) -> bool:
    """Whether a loss is a mean over rollouts, and not over tokens."""
    return algorithm.aggregation != "token_mean"


def settings(run: VerlRun) -> dict[str, object]:
    """verl's settings by name; a ``+`` before a name adds one that verl has no default for.

    Raises:
        ConfigError: See :func:`checked`.
    """
    algorithm = checked(run.config)
    return {
        **_data(run),
        **_actor(run, algorithm),
        **_engines(run),
        **_loss(run.config, algorithm),
        **_optimiser(run.config),
        **_trainer(run),
    }


def command_line(run: VerlRun) -> list[str]:
    """The arguments of ``verl.trainer.main_ppo``.

    Raises:
        ConfigError: See :func:`checked`.
    """
    made = [f"{name}={_written(value)}" for name, value in settings(run).items()]
    return [*made, *run.config.verl.overrides]


def _written(value: object) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def _data(run: VerlRun) -> dict[str, object]:
    rows = str(run.rows("train"))
    validation = str(run.rows("validation")) if run.config.data.validation else rows
    return {
        "data.custom_cls.path": "pkg://trainers.verl.hooks",
        "data.custom_cls.name": "VisionThinkDataset",
        "data.train_files": rows,
        "data.val_files": validation,
        "data.train_batch_size": run.config.rollout.prompts,
        "data.max_prompt_length": run.max_prompt,
        "data.max_response_length": run.max_rest,
        "data.shuffle": False,
        "data.dataloader_num_workers": 0,
        "data.seed": run.config.seed,
    }


def _actor(run: VerlRun, algorithm: Algorithm) -> dict[str, object]:
    config, machines = run.config, run.config.verl
    actor, reference = "actor_rollout_ref.actor", "actor_rollout_ref.ref"
    fsdp = f"{actor}.fsdp_config"
    return {
        "actor_rollout_ref.model.path": run.model,
        "+actor_rollout_ref.model.override_config.attn_implementation": machines.attention,
        "actor_rollout_ref.model.use_remove_padding": machines.attention.startswith("flash"),
        "actor_rollout_ref.model.enable_gradient_checkpointing": machines.checkpointing,
        f"{actor}.ppo_mini_batch_size": config.rollout.prompts // config.optimiser.minibatches,
        f"{actor}.ppo_micro_batch_size_per_gpu": config.optimiser.microbatch,
        f"{actor}.ppo_epochs": config.optimiser.epochs,
        f"{actor}.shuffle": config.optimiser.minibatches > 1,
        f"{actor}.data_loader_seed": config.seed,
        f"{fsdp}.param_offload": machines.offload,
        f"{fsdp}.optimizer_offload": machines.offload,
        f"{fsdp}.seed": config.seed,
        f"{reference}.fsdp_config.param_offload": machines.offload,
        f"{reference}.log_prob_micro_batch_size_per_gpu": config.optimiser.microbatch,
        f"{actor}.checkpoint.save_contents": ["model", "optimizer", "extra", "hf_model"],
        f"{actor}.use_kl_loss": algorithm.kl_coef > 0,
        f"{actor}.kl_loss_coef": algorithm.kl_coef,
        f"{actor}.kl_loss_type": _KLS[algorithm.kl_estimator],
    }


def _engines(run: VerlRun) -> dict[str, object]:
    config, machines = run.config, run.config.verl
    rules = config.environment
    pictures = make_protocol(rules.protocol, max_turns=rules.max_turns).max_turns
    rollout = "actor_rollout_ref.rollout"
    return {
        f"{rollout}.name": "vllm",
        f"{rollout}.n": config.rollout.group_size,
        f"{rollout}.temperature": config.rollout.temperature,
        f"{rollout}.seed": config.seed,
        f"{rollout}.load_format": "auto",  # from random ones a CPU's engine kept something
        f"{rollout}.max_model_len": run.max_prompt + run.max_rest,
        f"+{rollout}.limit_images": pictures,
        f"{rollout}.tensor_model_parallel_size": machines.engine_gpus,
        f"{rollout}.gpu_memory_utilization": machines.engine_memory,
        f"{rollout}.enforce_eager": machines.eager,
        f"{rollout}.log_prob_micro_batch_size_per_gpu": config.optimiser.microbatch,
        f"{rollout}.agent.num_workers": machines.workers,
        f"{rollout}.agent.default_agent_loop": "visionthink",
        "reward.num_workers": 1,  # rewards come with the rollouts
    }


def _loss(config: TrainConfig, algorithm: Algorithm) -> dict[str, object]:
    actor = "actor_rollout_ref.actor"
    values: dict[str, object] = {
        "algorithm.adv_estimator": estimator_of(
            config.algorithm.name, over_rollouts=over_rollouts(algorithm)
        ),
        f"{actor}.loss_agg_mode": _LOSSES[algorithm.aggregation],
        f"{actor}.clip_ratio": algorithm.clip_low,
        f"{actor}.clip_ratio_low": algorithm.clip_low,
        f"{actor}.clip_ratio_high": algorithm.clip_high,
        f"{actor}.policy_loss.loss_mode": "gspo" if algorithm.ratio == "sequence" else "vanilla",
        f"{actor}.entropy_coeff": config.algorithm.entropy,
    }
    if algorithm.aggregation == "constant":
        values[f"{actor}.loss_scale_factor"] = int(algorithm.horizon)
    return values


def _optimiser(config: TrainConfig) -> dict[str, object]:
    """verl's learning rate moves once a step, not once an update."""
    optimiser, optim = config.optimiser, "actor_rollout_ref.actor.optim"
    updates = optimiser.epochs * optimiser.minibatches
    return {
        f"{optim}.lr": optimiser.learning_rate,
        f"{optim}.betas": optimiser.betas,
        f"{optim}.weight_decay": optimiser.weight_decay,
        f"{optim}.clip_grad": optimiser.max_grad_norm,
        f"{optim}.lr_warmup_steps": -(-optimiser.warmup_steps // updates),
        f"{optim}.lr_scheduler_type": _SCHEDULES[optimiser.decay],
    }


def _trainer(run: VerlRun) -> dict[str, object]:
    config = run.config
    wandb = ["wandb"] if config.tracking.wandb in ("offline", "online") else []
    measured = config.evaluation.every or config.steps
    early = config.early and not run.saved_steps()  # a resume was measured before step 1
    return {
        "trainer.nnodes": config.verl.nodes,
        "trainer.n_gpus_per_node": config.verl.gpus_per_node,
        "trainer.total_epochs": 1,
        "trainer.total_training_steps": config.steps,
        "trainer.test_freq": measured if config.data.validation else -1,
        "trainer.val_before_train": early and bool(config.data.validation),
        "trainer.save_freq": 1 if early else save_every(config),
        "trainer.checkpoint_callback_class": "trainers.verl.hooks.Saved",
        "trainer.max_actor_ckpt_to_keep": 1_000_000,  # older ones go by HostedRun.prune
        "trainer.default_local_dir": str(run.checkpoints),
        "trainer.resume_mode": "auto",
        "trainer.project_name": config.tracking.project,
        "trainer.experiment_name": config.name,
        "trainer.logger": ["console", "file", *wandb],
    }
