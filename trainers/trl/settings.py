"""From a recipe to TRL's settings. Pure: nothing is imported, read or started.

Whatever a recipe says and TRL cannot do is refused here, before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainers.config import TrainConfig

if TYPE_CHECKING:
    from trainers.algorithms import Algorithm

_SCALES = {"grpo": "group", "dapo": "group", "gspo": "group", "dr_grpo": "none"}
"""What TRL divides a group's advantages by, for each algorithm that it has."""

_LOSSES = {"token_mean": "dapo", "sequence_mean": "grpo", "constant": "luspo"}
"""Those of TRL's losses that average as the recipe says; ``luspo`` is the sum over tokens."""

_SCHEDULES = {"none": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}
_DEVICES = ("auto", "cpu", "cuda")


def checked(config: TrainConfig) -> Algorithm:
    """The recipe's algorithm; see :func:`trainers.refusing.accepted`.

    Raises:
        ConfigError: On what TRL cannot do.
    """
    from trainers.refusing import accepted

    return accepted(config, "trl", _refusals)


def _refusals(config: TrainConfig, algorithm: Algorithm) -> dict[str, bool]:
    rollout, optimiser, name = config.rollout, config.optimiser, config.algorithm.name
    episodes = rollout.prompts * rollout.group_size
    batch, left = divmod(episodes, optimiser.minibatches)
    return {
        f"the algorithm {name!r}; it has {', '.join(sorted(_SCALES))}": name not in _SCALES,
        "force the first words of a turn; set rollout.probes=0 and no rollout.arm, and raise "
        "algorithm.options.kl_coef, which then has to keep every arm alive: 0.3 did": (
            rollout.forces
        ),
        "further questions in place of groups without signal; set rollout.rounds=1": (
            rollout.rounds > 1
        ),
        "leave out groups without signal; set algorithm.options.drop_without_signal=false": (
            algorithm.drop_without_signal
        ),
        "another KL than k3 in the loss; set algorithm.options.kl_in=loss and "
        "algorithm.options.kl_estimator=k3": (
            algorithm.kl_coef > 0 and (algorithm.kl_in, algorithm.kl_estimator) != ("loss", "k3")
        ),
        "an entropy bonus that is averaged otherwise than over tokens; set "
        "algorithm.options.aggregation=token_mean": (
            config.algorithm.entropy > 0 and algorithm.aggregation != "token_mean"
        ),
        "LoRA by a recipe; set model.lora_rank=0, or give trainers.trl.grpo_trainer a "
        "peft_config": config.model.lora_rank > 0,
        f"a device of its own; model.device is one of {', '.join(_DEVICES)}": (
            config.model.device not in _DEVICES
        ),
        f"{episodes} episodes a step in {optimiser.minibatches} minibatches of microbatches of "
        f"{optimiser.microbatch}; change optimiser.minibatches or optimiser.microbatch": (
            left > 0 or batch % min(batch, optimiser.microbatch) > 0
        ),
    }


def updates(config: TrainConfig) -> int:
    """Updates of one step: what TRL calls steps."""
    return config.optimiser.minibatches * config.optimiser.epochs


def settings(
    config: TrainConfig, algorithm: Algorithm, longest: int, *, gpu: bool
) -> dict[str, Any]:
    """Arguments of ``trl.GRPOConfig``.

    With ``aggregation="constant"`` TRL's loss is the recipe's times ``horizon``. AdamW does not see
    such a factor if its epsilon, and the bound of the gradient's norm, are given the same one.

    Args:
        config: The recipe.
        algorithm: Its algorithm.
        longest: Tokens that a rollout can have.
        gpu: Whether one is used.
    """
    rollout, optimiser = config.rollout, config.optimiser
    minibatch = rollout.prompts * rollout.group_size // optimiser.minibatches
    microbatch = min(minibatch, optimiser.microbatch)
    scale = algorithm.horizon if algorithm.aggregation == "constant" else 1.0
    return {
        "max_steps": config.steps * updates(config),
        "seed": config.seed,
        # rollouts
        "num_generations": rollout.group_size,
        "max_completion_length": longest,
        "generation_kwargs": {"max_new_tokens": rollout.max_new_tokens},
        "temperature": rollout.temperature,
        "shuffle_dataset": False,
        # the loss
        "scale_rewards": _SCALES[config.algorithm.name],
        "loss_type": _LOSSES[algorithm.aggregation],
        "importance_sampling_level": algorithm.ratio,
        "epsilon": algorithm.clip_low,
        "epsilon_high": algorithm.clip_high,
        "beta": algorithm.kl_coef,
        "use_bias_correction_kl": False,
        "entropy_coef": config.algorithm.entropy,
        "mask_truncated_completions": algorithm.mask_truncated,
        # updates
        "per_device_train_batch_size": microbatch,
        "gradient_accumulation_steps": minibatch // microbatch,
        "steps_per_generation": optimiser.minibatches * minibatch // microbatch,
        "num_iterations": optimiser.epochs,
        "learning_rate": optimiser.learning_rate,
        "lr_scheduler_type": _SCHEDULES[optimiser.decay],
        "warmup_steps": optimiser.warmup_steps,
        "adam_beta1": optimiser.betas[0],
        "adam_beta2": optimiser.betas[1],
        "adam_epsilon": 1e-8 * scale,
        "weight_decay": optimiser.weight_decay,
        "max_grad_norm": optimiser.max_grad_norm * scale,
        # the machine
        "bf16": config.model.dtype == "bfloat16",
        "gradient_checkpointing": gpu,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        # what is told and saved is decided by trainers.trl.run
        "logging_steps": updates(config),
        "save_strategy": "steps",
        "save_steps": config.steps * updates(config),
        "report_to": "none",
        "disable_tqdm": True,
    }
