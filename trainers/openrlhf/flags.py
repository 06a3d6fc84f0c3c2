"""From a recipe to OpenRLHF's command line. Pure: nothing is imported, read or started.

Whatever a recipe says and OpenRLHF cannot do is refused here, before anything runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainers.config import OpenRLHFConfig, TrainConfig
from vt_env.protocol import make_protocol

if TYPE_CHECKING:
    from trainers.algorithms import Algorithm
    from trainers.openrlhf.run import OpenRLHFRun

ESTIMATORS = {
    "grpo": "group_norm",
    "dapo": "group_norm",
    "gspo": "group_norm",
    "dr_grpo": "dr_grpo",
    "rloo": "rloo",
    "reinforce++": "reinforce",
    "reinforce++-baseline": "reinforce_baseline",
    "ppo": "gae",
}
"""OpenRLHF's name for the estimator that is nearest to an algorithm's."""

_LOSSES = {"token_mean": "token-mean", "sequence_mean": "seq-mean-token-mean"}
_SCHEDULES = {"none": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


def checked(config: TrainConfig) -> Algorithm:
    """The recipe's algorithm; see :func:`trainers.refusing.accepted`.

    Raises:
        ConfigError: On what OpenRLHF cannot do.
    """
    from trainers.refusing import accepted

    return accepted(config, "openrlhf", _refusals)


def _refusals(config: TrainConfig, algorithm: Algorithm) -> dict[str, bool]:
    from trainers.algorithms import PPO
    from trainers.algorithms import Algorithm as Base
    from trainers.refusing import not_on_ray

    rollout, machines, name = config.rollout, config.openrlhf, config.algorithm.name
    learners, ppo = machines.nodes * machines.gpus_per_node, type(algorithm) is PPO
    return {
        "its loss is a mean over tokens or over sequences; set "
        "algorithm.options.aggregation=token_mean": algorithm.aggregation not in _LOSSES,
        **not_on_ray(config, algorithm, machines),
        "a KL in the loss, or an entropy bonus, that is averaged otherwise than over tokens; set "
        "algorithm.options.aggregation=token_mean, or algorithm.options.kl_coef=0 (or "
        "kl_in=reward with kl_estimator=k1) and algorithm.entropy=0": (
            algorithm.aggregation == "sequence_mean" and _beside_the_loss(config, algorithm)
        ),
        f"the critic of {name!r}; only that of 'ppo' is there": algorithm.needs_critic and not ppo,
        "a critic and tokens that only one of critic and policy learns from; set rollout.probes=0 "
        "and algorithm.options.drop_without_signal=false": (
            ppo and (rollout.forces or algorithm.drop_without_signal)
        ),
        "value_clip=None, or a value_coef: the critic has an optimiser of its own": (
            isinstance(algorithm, PPO)
            and (algorithm.value_clip is None or algorithm.value_coef != 1)
        ),
        f"the algorithm {name!r} has a loss of its own; use trainer=local": (
            type(algorithm).policy_loss is not Base.policy_loss
        ),
        f"engines that share the {learners} learners' GPUs must cover them: openrlhf.engines * "
        "openrlhf.engine_gpus must be as many; or set openrlhf.colocate=false": (
            machines.colocate and machines.engines * machines.engine_gpus not in (0, learners)
        ),
        f"{learners} GPUs do not divide into engines of {machines.engine_gpus}; change "
        "openrlhf.engine_gpus": learners % machines.engine_gpus > 0 and machines.engines == 0,
    }


def _beside_the_loss(config: TrainConfig, algorithm: Algorithm) -> bool:
    """Whether a KL or an entropy is added to the policy's loss."""
    kl = algorithm.kl_coef > 0 and algorithm.kl_in == "loss"
    return kl or config.algorithm.entropy > 0


def engines(machines: OpenRLHFConfig) -> int:
    """How many engines play."""
    return machines.engines or machines.nodes * machines.gpus_per_node // machines.engine_gpus


def gpus_needed(machines: OpenRLHFConfig, *, critic: bool = False) -> int:
    """GPUs that the whole run takes."""
    learners = machines.nodes * machines.gpus_per_node
    if machines.colocate:
        return learners
    return learners * (1 + critic) + engines(machines) * machines.engine_gpus


def command_line(run: OpenRLHFRun) -> list[str]:
    """The arguments of ``openrlhf.cli.train_ppo_ray``.

    Raises:
        ConfigError: See :func:`checked`.
    """
    algorithm = checked(run.config)
    switches, values = _switches(run.config, algorithm), _values(run, algorithm)
    made = [f"--{name}" for name, on in switches.items() if on]
    for name, value in values.items():
        words = value if isinstance(value, tuple) else (value,)
        made += [f"--{name}", *map(str, words)]
    return made


def _switches(config: TrainConfig, algorithm: Algorithm) -> dict[str, bool]:
    machines = config.openrlhf
    return {
        "train.colocate_all": machines.colocate,
        "vllm.enable_sleep": machines.colocate,
        "ds.enable_sleep": machines.colocate,
        "train.colocate_actor_ref": not machines.colocate,
        "vllm.enforce_eager": machines.eager,
        "vllm.enable_prefix_caching": True,  # siblings share a prompt
        "ds.adam_offload": machines.offload,
        "ref.offload": machines.offload,
        "actor.gradient_checkpointing_enable": machines.checkpointing,
        "actor.freeze_visual_encoder": config.model.freeze_vision,
        "algo.kl.use_loss": algorithm.kl_coef > 0 and algorithm.kl_in == "loss",
        "ckpt.save_hf": True,
        "ckpt.load_enable": True,  # loads what there is; a new run has nothing
    }


def _values(run: OpenRLHFRun, algorithm: Algorithm) -> dict[str, object]:
    return {
        "actor.model_name_or_path": run.model,
        "train.agent_func_path": run.folder / "agent.py",
        **_data(run, algorithm.needs_critic),
        **_rollouts(run.config),
        **_loss(run.config, algorithm),
        **_optimiser(run.config, "actor"),
        **(_critic(run, algorithm) if algorithm.needs_critic else {}),
        **_machines(run.config.openrlhf),
        "train.seed": run.config.seed,
        "ckpt.path": run.folder / "state",
        "ckpt.output_dir": run.folder / "last",
        "ckpt.max_num": 1_000_000,  # it would delete before the next is whole: OpenRLHFRun.prune
    }


def _data(run: OpenRLHFRun, critic: bool) -> dict[str, object]:
    """With a critic, OpenRLHF is told of no pictures, else it refuses; it does not need to know."""
    rules = run.config.environment
    protocol = make_protocol(rules.protocol, max_turns=rules.max_turns)
    values: dict[str, object] = {
        "data.prompt_dataset": run.rows("train"),
        "data.input_key": "question",
        "data.label_key": "label",
        "data.max_images_per_prompt": 0 if critic else protocol.max_turns,
        "data.max_len": run.max_length,
    }
    if run.config.data.validation:
        values["eval.dataset"] = run.rows("validation")
    return values


def _rollouts(config: TrainConfig) -> dict[str, object]:
    rollout, optimiser = config.rollout, config.optimiser
    episodes = rollout.prompts * rollout.group_size
    return {
        "rollout.batch_size": rollout.prompts,
        "rollout.n_samples_per_prompt": rollout.group_size,
        "rollout.temperature": rollout.temperature,
        "rollout.micro_batch_size": optimiser.microbatch,
        "train.batch_size": episodes // optimiser.minibatches,
        "train.micro_batch_size": optimiser.microbatch,
        "train.max_epochs": optimiser.epochs,
        "train.num_episodes": 1,
    }


def _loss(config: TrainConfig, algorithm: Algorithm) -> dict[str, object]:
    correction = config.openrlhf.correction
    values: dict[str, object] = {
        "algo.advantage.estimator": ESTIMATORS.get(config.algorithm.name, "group_norm"),
        "algo.kl.init_coef": algorithm.kl_coef,
        "algo.kl.estimator": algorithm.kl_estimator,
        "actor.policy_loss_type": "gspo" if algorithm.ratio == "sequence" else "ppo",
        "actor.loss_agg_mode": _LOSSES[algorithm.aggregation],
        "actor.eps_clip_low_high": (algorithm.clip_low, algorithm.clip_high),
    }
    if config.algorithm.entropy:
        values["actor.entropy_coef"] = config.algorithm.entropy
    if correction != "off":
        values["algo.advantage.is_correction_level"] = {"token": "token", "sequence": "seq"}[
            correction
        ]
    return values


def _optimiser(config: TrainConfig, whose: str) -> dict[str, object]:
    optimiser = config.optimiser
    updates = config.steps * optimiser.epochs * optimiser.minibatches
    return {
        f"{whose}.adam.lr": optimiser.learning_rate,
        f"{whose}.adam.betas": optimiser.betas,
        f"{whose}.adam.weight_decay": optimiser.weight_decay,
        f"{whose}.max_norm": optimiser.max_grad_norm,
        f"{whose}.lr_scheduler": _SCHEDULES[optimiser.decay],
        f"{whose}.lr_warmup_ratio": min(1.0, optimiser.warmup_steps / updates),
    }


def _critic(run: OpenRLHFRun, algorithm: Algorithm) -> dict[str, object]:
    from trainers.algorithms import PPO

    assert isinstance(algorithm, PPO)
    machines = run.config.openrlhf
    return {
        "critic.model_name_or_path": run.model,
        "critic.num_nodes": machines.nodes,
        "critic.num_gpus_per_node": machines.gpus_per_node,
        "critic.value_clip": algorithm.value_clip,
        "algo.advantage.gamma": algorithm.discount,
        "algo.advantage.lambd": algorithm.decay,
        **_optimiser(run.config, "critic"),
    }


def _machines(machines: OpenRLHFConfig) -> dict[str, object]:
    return {
        "actor.num_nodes": machines.nodes,
        "actor.num_gpus_per_node": machines.gpus_per_node,
        "ref.num_nodes": machines.nodes,
        "ref.num_gpus_per_node": machines.gpus_per_node,
        "vllm.num_engines": engines(machines),
        "vllm.tensor_parallel_size": machines.engine_gpus,
        "vllm.gpu_memory_utilization": machines.engine_memory,
        "vllm.sync_backend": machines.sync,
        "ds.zero_stage": machines.zero_stage,
        "ds.param_dtype": "bf16",
        "ds.attn_implementation": machines.attention,
    }
