"""The arithmetic of a run: memory, disk and hours, from the model's shape and the data's sizes.

Nothing is read or started here. What is assumed is in :data:`ASSUMED` and printed with the results;
no figure was measured on a GPU. Sizes are in bytes, times in seconds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from trainers.config import TrainConfig
from trainers.hosted.run import run_bytes
from vt_env.errors import ConfigError, unknown_name

PATCHED, SENT = 2 * 3 * 4, 3
"""Bytes of a pixel as patches carry it (two frames, three channels, float32), and as a view."""

ASSUMED: Mapping[str, float] = {
    "asks": 0.5,  # share of rollouts that ask once for all there is
    "said": 300,  # tokens that a policy writes in a turn
    "learning": 0.35,  # share of a GPU's arithmetic that a learner reaches
    "prefill": 0.4,  # share of it that an engine reaches on prompts
    "decode": 0.6,  # share of a GPU's bandwidth that an engine reaches while it writes
    "together": 128,  # sequences that an engine writes at once
    "copies": 3,  # copies of a step's patches in the host's memory at the peak
    "views": 2,  # copies of its views where they travel once a group: benchmarks/step_memory.py
    "overhead": 1.15,  # a step's time over that of playing and learning: weights, judging, waiting
    "room": 0.92,  # share of a GPU's memory that can be used
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU.

    Attributes:
        name: As it is called.
        memory: In GB.
        arithmetic: Dense bfloat16 operations a second, in 10^12; 0: not known.
        bandwidth: Of its memory, in 10^12 bytes a second; 0: not known.
    """

    name: str
    memory: float
    arithmetic: float = 0.0
    bandwidth: float = 0.0


@cache
def gpus() -> Mapping[str, Gpu]:
    """The GPUs that are known, by name."""
    table = tomllib.loads(Path(__file__).with_name("gpus.toml").read_text("utf-8"))
    return {name: Gpu(name, **numbers) for name, numbers in table.items()}


def gpu_called(name: str) -> Gpu:
    """The GPU that a name means, a driver's too.

    Raises:
        ConfigError: If none is known.
    """
    for known, gpu in gpus().items():
        if re.search(rf"(?<![a-z0-9]){re.escape(known)}(?![a-z0-9])", name, re.IGNORECASE):
            return gpu
    raise unknown_name("GPU", name, list(gpus()))


def gpu_found(name: str, memory: float) -> Gpu:
    """A GPU as its driver tells of it; how fast it is, is known of those in ``gpus.toml``.

    Args:
        name: As the driver calls it.
        memory: In bytes, as the driver says.
    """
    try:
        return replace(gpu_called(name), memory=memory / 1e9)
    except ConfigError:
        return Gpu(name, memory / 1e9)


@dataclass(frozen=True, slots=True)
class Shape:
    """A model.

    Attributes:
        parameters: All of them.
        layers: Of the language model.
        hidden: Its width.
        intermediate: Width of its feed-forward layers.
        vocabulary: Rows of its head.
        token_pixels: Pixels of a picture that become one visual token.
    """

    parameters: int
    layers: int
    hidden: int
    intermediate: int
    vocabulary: int
    token_pixels: int

    @classmethod
    def of(cls, config: Any, parameters: int) -> Shape:
        """From a model's configuration in transformers."""
        text, vision = config.get_text_config(), config.vision_config
        side = vision.patch_size * getattr(vision, "spatial_merge_size", 1)
        return cls(
            parameters,
            text.num_hidden_layers,
            text.hidden_size,
            text.intermediate_size,
            text.vocab_size,
            side * side,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """What a step plays and learns from.

    Attributes:
        rollouts: How many.
        longest: Tokens of the longest that the data allow.
        typical: Tokens of one, prompts and pictures included, on average.
        said: Tokens that the policy writes in one, on average.
        visual: Visual tokens of one, on average.
        groups: Questions.
        shown: Visual tokens of all the views that a question can show, on average.
    """

    rollouts: int
    longest: int
    typical: float
    said: float
    visual: float
    groups: int = 1
    shown: float = 0.0


@dataclass(frozen=True, slots=True)
class Machines:
    """Who learns and who plays.

    Attributes:
        nodes: Machines.
        learners: GPUs that learn.
        engines: Engines that play; 0: the learner does.
        engine_gpus: GPUs of each.
        apart: Whether the engines have GPUs of their own.
        engine_memory: Share of a GPU's memory that an engine takes.
        spread: What is spread over the learners: 0 nothing, 1 optimiser, 2 gradients, 3 weights.
        offload: Whether optimiser and reference rest in the host's memory.
        half: Whether weights are kept in bfloat16 beside the optimiser's float32.
        once: Whether a view travels once a group, as pixels; else with every rollout, as patches.
    """

    nodes: int = 1
    learners: int = 1
    engines: int = 0
    engine_gpus: int = 1
    apart: bool = False
    engine_memory: float = 0.0
    spread: int = 0
    offload: bool = False
    half: bool = False
    once: bool = False

    @property
    def gpus(self) -> int:
        """GPUs that the whole run takes."""
        return self.learners + (self.engines * self.engine_gpus if self.apart else 0)


def machines_of(config: TrainConfig) -> Machines:
    """The machines of a recipe."""
    if config.trainer == "openrlhf":
        from trainers.openrlhf.flags import engines

        asked = config.openrlhf
        return Machines(
            asked.nodes, asked.nodes * asked.gpus_per_node, engines(asked), asked.engine_gpus,
            not asked.colocate, asked.engine_memory, asked.zero_stage, asked.offload, True, True,
        )  # fmt: skip
    if config.trainer == "verl":
        wanted = config.verl
        learners = wanted.nodes * wanted.gpus_per_node
        return Machines(
            wanted.nodes, learners, learners // wanted.engine_gpus, wanted.engine_gpus, False,
            wanted.engine_memory, 3, wanted.offload, False,
        )  # fmt: skip
    return Machines()


def learner_memory(
    shape: Shape, load: Load, machines: Machines, config: TrainConfig, *, reference: bool
) -> dict[str, float]:
    """Bytes of a learner's GPU by what takes them, while it learns from the longest rollout.

    Logits are kept as bfloat16 and twice as float32, and with an entropy bonus their probabilities
    too, with a gradient. With recomputed activations a layer's input is kept for every layer, and
    one layer's own while it is gone through.
    """
    count, learners = shape.parameters, machines.learners
    weight = 2 if machines.half else 4
    trained = count * (0.02 if config.model.lora_rank else 1)
    tokens = load.longest * config.optimiser.microbatch
    sizes = {
        "weights": weight * count / (learners if machines.spread >= 3 else 1),
        "gradients": 4 * trained / (learners if machines.spread >= 2 else 1),
        "optimiser": (8 + 4 * machines.half) * trained / (learners if machines.spread else 1),
        "reference": weight * count / (learners if machines.spread >= 3 else 1),
        "logits": (18.0 if config.algorithm.entropy else 10.0) * shape.vocabulary * tokens,
        "activations": tokens
        * (2.0 * shape.layers * shape.hidden + 16 * shape.hidden + 8 * shape.intermediate),
    }
    if machines.offload:
        sizes["optimiser"] = 0.0
    if not reference:
        del sizes["reference"]
    return sizes


def engine_weights(shape: Shape, machines: Machines) -> float:
    """Bytes of weights on each GPU of an engine."""
    return 2 * shape.parameters / machines.engine_gpus


def host_memory(shape: Shape, load: Load, machines: Machines) -> dict[str, float]:
    """Bytes of a machine's own memory by what takes them."""
    if machines.once:
        pixels = ASSUMED["views"] * load.groups * load.shown * shape.token_pixels * SENT
    else:
        pixels = ASSUMED["copies"] * load.rollouts * load.visual * shape.token_pixels * PATCHED
    sizes = {
        "pixels of a step": pixels / machines.nodes,
        "engines' weights as they load": 2.0 * shape.parameters,
    }
    if machines.offload:
        sizes["optimiser and reference"] = 14.0 * shape.parameters / machines.nodes
    return sizes


def step_seconds(
    shape: Shape, load: Load, machines: Machines, gpu: Gpu, epochs: int, *, reference: bool
) -> dict[str, float]:
    """Seconds of a step by phase.

    A token costs twice the parameters forward, and six times them forward and backward; activations
    that are recomputed cost another pass. While an engine writes, every token of the sequences that
    it writes together takes one pass over the weights.
    """
    count = shape.parameters
    arithmetic = gpu.arithmetic * 1e12
    read = load.rollouts * (load.typical - load.said)
    playing = max(machines.engines, 1) * machines.engine_gpus
    together = min(ASSUMED["together"], load.rollouts / max(machines.engines, 1))
    a_pass = 2 * count / (gpu.bandwidth * 1e12 * ASSUMED["decode"] * machines.engine_gpus)
    passes = load.rollouts * load.said / together / max(machines.engines, 1)
    tokens = load.rollouts * load.typical
    forward = (1 + reference) * 2 * count * tokens
    return {
        "prompts": 2 * count * read / (arithmetic * ASSUMED["prefill"] * playing),
        "writing": passes * a_pass,
        "learning": (forward + epochs * 8 * count * tokens)
        / (arithmetic * ASSUMED["learning"] * machines.learners),
    }


def disk(shape: Shape, keep: int) -> float:
    """Bytes that all states and checkpoints of a run take at the most."""
    return float(run_bytes(shape.parameters, keep))
