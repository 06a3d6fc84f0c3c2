"""What a trainer cannot do is refused before anything starts, with what to set instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from trainers.algorithms import Algorithm, make_algorithm
from trainers.config import OpenRLHFConfig, TrainConfig, VerlConfig
from vt_env.bonuses import CHANNELS
from vt_env.errors import ConfigError

Refusals = Callable[[TrainConfig, Algorithm], Mapping[str, bool]]
"""Of a recipe and its algorithm: what cannot be done with what to set instead, and whether it is
wanted."""


def check_channel(config: TrainConfig, algorithm: Algorithm) -> None:
    """Refuse a second reward channel that nobody learns from, and an algorithm that lacks one.

    Raises:
        ConfigError: Saying what to set instead.
    """
    name, tool = config.algorithm.name, config.reward.tool
    if algorithm.needs_tool and tool == "none":
        raise ConfigError(
            f"the algorithm {name!r} learns from a second reward channel: set reward.tool to one "
            f"of {', '.join(CHANNELS)}"
        )
    if not algorithm.needs_tool and tool != "none":
        raise ConfigError(
            f"the algorithm {name!r} learns nothing from the second reward channel "
            f"reward.tool={tool!r}: set algorithm.name to dtpo or hdpo, or reward.tool=none"
        )


def accepted(config: TrainConfig, trainer: str, refusals: Refusals) -> Algorithm:
    """Refuse what a trainer cannot do.

    Args:
        config: The recipe.
        trainer: Its name.
        refusals: What it cannot do.

    Returns:
        The recipe's algorithm.

    Raises:
        ConfigError: Saying what to set instead.
    """
    algorithm = make_algorithm(config.algorithm.name, **config.algorithm.options)
    check_channel(config, algorithm)
    by_turn = (
        f"credit by turn, which the algorithm {config.algorithm.name!r} needs; set trainer=local"
    )
    refused = {by_turn: algorithm.needs_tool, **refusals(config, algorithm)}
    for message, wanted in refused.items():
        if wanted:
            raise ConfigError(f"the trainer {trainer!r} cannot do this: {message}")
    return algorithm


_CHECKS = {
    "openrlhf": "trainers.openrlhf.flags",
    "trl": "trainers.trl.settings",
    "verl": "trainers.verl.flags",
}
"""Where ``checked`` is, by trainer; none of them imports its library."""


def check_recipe(config: TrainConfig) -> None:
    """Refuse what a recipe's trainer cannot do, also where its library is not installed.

    Raises:
        ConfigError: Saying what to set instead.
    """
    if config.trainer in _CHECKS:
        import_module(_CHECKS[config.trainer]).checked(config)


def not_on_ray(
    config: TrainConfig, algorithm: Algorithm, machines: OpenRLHFConfig | VerlConfig, unit: int = 1
) -> dict[str, bool]:
    """What no trainer can do whose engines and learners are processes of Ray's.

    LoRA: OpenRLHF 0.11.2 sends its engines those parameters that are trained, under the names that
    peft gives them (``broadcast_to_vllm``), and an engine has the model's own; it saves adapters
    alone. verl sends adapters as such, which nothing here merges into a checkpoint.

    Args:
        config: The recipe.
        algorithm: Its algorithm.
        machines: The trainer's part of the recipe.
        unit: Episodes that stay together in a minibatch.
    """
    model, optimiser = config.model, config.optimiser
    step = config.rollout.prompts * config.rollout.group_size
    batch = step // unit // optimiser.minibatches * unit
    learners = machines.nodes * machines.gpus_per_node
    return {
        "LoRA; set model.lora_rank=0, or use trainer=local": model.lora_rank > 0,
        "engines and learners compute in bfloat16; set model.dtype=bfloat16": (
            model.dtype != "bfloat16"
        ),
        "Ray places its processes; set model.device=auto": model.device != "auto",
        "further questions in place of groups without signal; set rollout.rounds=1": (
            config.rollout.rounds > 1
        ),
        "a ratio of whole sequences under another mean; set "
        "algorithm.options.aggregation=sequence_mean": (
            algorithm.ratio == "sequence" and algorithm.aggregation != "sequence_mean"
        ),
        f"{step // unit} units of {unit} episodes a step do not divide into "
        f"{optimiser.minibatches} minibatches; change optimiser.minibatches": (
            batch * optimiser.minibatches != step
        ),
        f"a minibatch has {batch} episodes, which {learners} GPUs at optimiser.microbatch="
        f"{optimiser.microbatch} do not divide; lower optimiser.microbatch": (
            batch % (learners * optimiser.microbatch) > 0
        ),
    }
