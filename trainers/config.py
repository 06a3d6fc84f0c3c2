"""The settings of a training run: frozen records, checked when they are made.

A recipe is this as a file; see :mod:`experiments.recipe`. Anything out of range raises ConfigError.

Each field says what a resume may do with it, see :func:`trainers.runs.same_recipe`: it is *fixed*,
since it shapes what is learnt; :data:`FREE`, where it says how long, where or how fast; or
:data:`APPLIED` by trainers that can, and fixed for the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agents.shipped import PAGES
from vt_env.errors import ConfigError
from vt_env.rewards import RewardConfig

FREE: Mapping[str, Any] = {"resume": "free"}
APPLIED: Mapping[str, Any] = {"resume": "applied"}
MAX_FAILED = 0.1


def _without_address(judge: str) -> str:
    """A judge's spec without its server's URL, which decides no verdict."""
    return re.sub(r"@https?://[^,;)\s]+", "@", judge)


def _at_least(config: Any, least: float, *names: str) -> None:
    for name in names:
        if not least <= (value := getattr(config, name)) < math.inf:
            raise ConfigError(f"{name} must be at least {least}, got {value}")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The policy.

    Attributes:
        path: A checkpoint: a folder, a name on the Hugging Face Hub, or ``shipped``, the folder of
            the pages policy that comes with the package.
        agent: The agent that plays it, by name: one that is a model here.
        device: Torch's name for it; ``auto`` takes a GPU where there is one.
        dtype: Of the forward passes. Weights and optimiser are float32 always.
        freeze_vision: Whether the vision tower (its merger included) stays as it is.
        lora_rank: Train low-rank adapters of this rank in place of the weights; 0: the weights.
        lora_alpha: Their scale is ``lora_alpha / lora_rank``.
        lora_targets: Names of the linear layers of the language model that get one.
    """

    path: str
    agent: str = "transformers"
    device: str = field(default="auto", metadata=FREE)
    dtype: Literal["float32", "bfloat16"] = "float32"
    freeze_vision: bool = False
    lora_rank: int = 0
    lora_alpha: int = 16
    lora_targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    def __post_init__(self) -> None:
        if self.path == "shipped":
            object.__setattr__(self, "path", str(PAGES))
        _at_least(self, 0, "lora_rank")
        if self.lora_rank and not self.lora_targets:
            raise ConfigError("lora_rank needs lora_targets")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Sources, as :func:`vt_env.open_source` takes them.

    Attributes:
        train: What is trained on.
        validation: What the evaluations on the way are measured on. They choose the best
            checkpoint, so it is no test split.
    """

    train: str
    validation: str | None = None


@dataclass(frozen=True, slots=True)
class EnvironmentConfig:
    """The rules of a conversation; see :func:`vt_env.make_task`.

    Attributes:
        protocol: A shipped protocol, such as ``visionthink``; docs/regions.md lists them.
        judge: Who compares answers with the accepted ones, by its spec.
        tokens: Whose visual tokens are counted: a model family, with its bounds. ``None``: the
            data's, else ``qwen2.5-vl``.
        prompt: The prompt's texts: a shipped name or a TOML file. ``None``: the protocol's.
        factor: Side of the first view over the original's. ``None``: the protocol's.
        max_turns: Turns that a policy has. ``None``: the protocol's.
        first_look: How the first view is made: ``lanczos``, ``reduce`` or ``draft``, or a bound as
            ``tokens:256`` or ``side:512``. ``None``: the protocol's.
        max_pixels: Width times height to which a larger picture is shrunk before anything is made
            of it. It bounds the length of rollouts for every engine and learner, whatever the
            bound of a checkpoint's own processor. 0: none is shrunk.
        max_pictures: Views of a rollout. ``None``: the protocol's.
        max_visual_tokens: Visual tokens of a rollout. ``None``: the protocol's.
        over_budget: What a rollout is that goes over a budget: ``wrong``, or ``unscored`` and so
            out of the loss. ``None``: the protocol's.
    """

    protocol: str = "visionthink"
    judge: str = field(default="auto", metadata={"resume": _without_address})
    tokens: str | None = None
    prompt: str | None = None
    factor: float | None = None
    max_turns: int | None = None
    first_look: str | None = None
    max_pixels: int = 0
    max_pictures: int | None = None
    max_visual_tokens: int | None = None
    over_budget: str | None = None

    def __post_init__(self) -> None:
        _at_least(self, 0, "max_pixels")


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """How episodes are made.

    Attributes:
        prompts: Questions a step.
        group_size: Rollouts of each question.
        temperature: Of sampling; above 0.
        max_new_tokens: Tokens a turn may have.
        probes: Rollouts of each group that are forced to answer directly, and as many that are
            forced to request, or, of several tools, to call each. A forced decision is trained on
            only where its advantage is positive.
        arm: The decision that all rollouts are forced into, evaluations' too: ``direct``,
            ``request``, or of several tools a tool's name. So a reference is trained, which has
            nothing to decide.
        rounds: Times that a step may play further questions in place of groups whose rewards are
            all equal, the first included: DAPO's dynamic sampling (2503.14476, Eq. 11), bounded.
        max_failed: Share of a process's last rollouts that may fail, in [0, 1], as where an engine
            loses a request; likewise of its last questions whose pictures may be refused while they
            are played, though they were not before the run. Such rollouts are unscored; above it
            the run stops. A model in the trainer's own process fails for all or for none, and
            tokens that do not agree stop at once. The trainer ``local`` plays another sample in the
            place of one whose picture is refused.
    """

    prompts: int = 32
    group_size: int = 8
    temperature: float = 1.0
    max_new_tokens: int = 64
    probes: int = 0
    arm: str = ""
    rounds: int = 1
    max_failed: float = field(default=MAX_FAILED, metadata=FREE)

    def __post_init__(self) -> None:
        _at_least(self, 1, "prompts", "max_new_tokens", "rounds")
        _at_least(self, 2, "group_size")
        _at_least(self, 0, "probes", "max_failed")
        if self.max_failed > 1:
            raise ConfigError(f"max_failed is a share from 0 to 1, got {self.max_failed}")
        if not 0 < self.temperature < math.inf:
            raise ConfigError(f"temperature must be above 0, got {self.temperature}")
        if self.arm and self.probes:
            raise ConfigError(f"arm={self.arm} forces all rollouts, and probes={self.probes} some")
        if 2 * self.probes > self.group_size:
            raise ConfigError(
                f"{self.probes} probes of each arm do not fit into groups of {self.group_size}"
            )

    @property
    def forces(self) -> bool:
        """Whether first words of turns are forced."""
        return self.probes > 0 or bool(self.arm)


@dataclass(frozen=True, slots=True)
class AlgorithmConfig:
    """What is learnt from episodes.

    Attributes:
        name: One of :data:`trainers.algorithms.ALGORITHMS`.
        options: Its hyper-parameters, the KL's included; see
            :class:`trainers.algorithms.Algorithm`.
        entropy: Weight of a bonus for the entropy of the tokens that are trained on.
    """

    name: str = "grpo"
    options: Mapping[str, Any] = field(default_factory=dict)
    entropy: float = 0.0

    def __post_init__(self) -> None:
        _at_least(self, 0, "entropy")


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """AdamW, and how a step's episodes are cut up.

    Attributes:
        learning_rate: After the warm-up.
        warmup_steps: Updates over which the learning rate rises linearly.
        decay: How it falls over the run's steps: not at all (``none``), along a straight line to 0
            at the end (``linear``), or along half a cosine (``cosine``).
        betas: Of AdamW.
        weight_decay: Of AdamW.
        max_grad_norm: Gradients are scaled down to this norm.
        epochs: Times that a step's episodes are gone through.
        minibatches: Updates an epoch.
        microbatch: Episodes a forward pass; the gradients of a minibatch add up to exactly those
            of one pass.
    """

    learning_rate: float
    warmup_steps: int = 0
    decay: Literal["none", "linear", "cosine"] = "none"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    epochs: int = 1
    minibatches: int = 1
    microbatch: int = 64

    def __post_init__(self) -> None:
        _at_least(self, 0, "learning_rate", "warmup_steps", "weight_decay")
        _at_least(self, 1, "epochs", "minibatches", "microbatch")
        if not self.max_grad_norm > 0:
            raise ConfigError(f"max_grad_norm must be above 0, got {self.max_grad_norm}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"betas must be in [0, 1), got {self.betas}")


@dataclass(frozen=True, slots=True)
class EvaluationConfig:
    """Greedy evaluation on the validation split.

    Attributes:
        every: Steps between evaluations; 0: only at the end. The last step is always evaluated.
        limit: Samples; 0: all.
        batch: Episodes at once.
    """

    every: int = 0
    limit: int = 0
    batch: int = 64

    def __post_init__(self) -> None:
        _at_least(self, 0, "every", "limit")
        _at_least(self, 1, "batch")


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """When checkpoints are written. The last step always is.

    Attributes:
        every: Steps between checkpoints; 0: only at the end.
        keep: How many of the newest are kept; the best one is kept besides.
    """

    every: int = 0
    keep: int = 2

    def __post_init__(self) -> None:
        _at_least(self, 0, "every")
        _at_least(self, 1, "keep")


@dataclass(frozen=True, slots=True)
class TrackingConfig:
    """Views of the log; see :func:`trainers.wandb_view.wandb_view`.

    Attributes:
        wandb: ``auto``, ``off``, ``offline`` or ``online``.
        project: W&B project.
        episodes: Episodes that each evaluation shows.
    """

    wandb: Literal["auto", "off", "offline", "online"] = "auto"
    project: str = "visionthink-gym"
    episodes: int = 8

    def __post_init__(self) -> None:
        _at_least(self, 0, "episodes")


@dataclass(frozen=True, slots=True)
class OpenRLHFConfig:
    """Machines and how the trainer ``openrlhf`` uses them; other trainers do not read it.

    Attributes:
        nodes: Machines that learn.
        gpus_per_node: GPUs that learn in each.
        colocate: Whether the engines that play share the learners' GPUs and take turns with them,
            or have GPUs of their own.
        engines: vLLM engines; 0: as many as there are learners' GPUs for.
        engine_gpus: GPUs that one engine spans (tensor parallel).
        engine_memory: Share of a GPU's memory that an engine takes, above 0, at most 1.
        eager: Whether engines go without CUDA graphs.
        sync: How weights travel to the engines.
        correction: Weigh tokens by how likely learner and engine each held them (``token``), or
            leave out rollouts over which the two disagree (``sequence``).
        max_length: Tokens of a whole rollout, prompts and visual tokens included; 0: what the
            longest of the data needs.
        zero_stage: What DeepSpeed spreads over the learners' GPUs: optimiser (1), gradients too
            (2), weights too (3).
        offload: Whether optimiser and reference rest in the host's memory.
        checkpointing: Whether activations are computed twice to save memory.
        attention: Transformers' name for it.
    """

    nodes: int = 1
    gpus_per_node: int = 1
    colocate: bool = field(default=True, metadata=FREE)
    engines: int = field(default=0, metadata=FREE)
    engine_gpus: int = field(default=1, metadata=FREE)
    engine_memory: float = field(default=0.6, metadata=FREE)
    eager: bool = field(default=False, metadata=FREE)
    sync: Literal["nccl", "gloo"] = field(default="nccl", metadata=FREE)
    correction: Literal["off", "token", "sequence"] = "off"
    max_length: int = field(default=0, metadata=FREE)
    zero_stage: Literal[1, 2, 3] = 3
    offload: bool = field(default=False, metadata=FREE)
    checkpointing: bool = field(default=True, metadata=FREE)
    attention: str = field(default="flash_attention_2", metadata=FREE)

    def __post_init__(self) -> None:
        _at_least(self, 1, "nodes", "gpus_per_node", "engine_gpus")
        _at_least(self, 0, "engines", "max_length")
        if not 0 < self.engine_memory <= 1:
            raise ConfigError(
                f"engine_memory must be above 0 and at most 1, got {self.engine_memory}"
            )


@dataclass(frozen=True, slots=True)
class VerlConfig:
    """Machines and how the trainer ``verl`` uses them; other trainers do not read it.

    Attributes:
        nodes: Machines, whose GPUs play and learn in turns.
        gpus_per_node: GPUs in each.
        engine_gpus: GPUs that one engine spans (tensor parallel).
        engine_memory: Share of a GPU's memory that an engine takes, above 0, at most 1.
        eager: Whether engines go without CUDA graphs.
        workers: Processes in which dialogues are played.
        max_length: Tokens of a whole rollout, prompts and visual tokens included; 0: what the
            longest of the data needs.
        offload: Whether weights and optimiser rest in the host's memory while the engines play.
        checkpointing: Whether activations are computed twice to save memory.
        attention: Transformers' name for it; without flash attention sequences are padded.
        overrides: Settings of verl's own, ``key=value`` each, which have the last word.
    """

    nodes: int = 1
    gpus_per_node: int = 8
    engine_gpus: int = field(default=1, metadata=FREE)
    engine_memory: float = field(default=0.6, metadata=FREE)
    eager: bool = field(default=False, metadata=FREE)
    workers: int = field(default=8, metadata=FREE)
    max_length: int = field(default=0, metadata=FREE)
    offload: bool = field(default=True, metadata=FREE)
    checkpointing: bool = field(default=True, metadata=FREE)
    attention: str = field(default="flash_attention_2", metadata=FREE)
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _at_least(self, 1, "nodes", "gpus_per_node", "engine_gpus", "workers")
        _at_least(self, 0, "max_length")
        if not 0 < self.engine_memory <= 1:
            raise ConfigError(
                f"engine_memory must be above 0 and at most 1, got {self.engine_memory}"
            )
        for override in self.overrides:
            if "=" not in override:
                raise ConfigError(f"overrides must be key=value each, got {override!r}")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A whole run.

    Attributes:
        name: What tables and views call it.
        steps: Batches of episodes to learn from.
        model: The policy.
        data: What it plays.
        optimiser: How weights change.
        trainer: One of :data:`trainers.TRAINERS`; ``auto``: what
            :func:`trainers.choose_trainer` finds.
        seed: Of everything that is random.
        early: Whether the policy is measured before the first step (``before/…`` in its line of the
            log, where there is a validation split) and saved after it, whatever
            ``evaluation.every`` and ``checkpoint.every`` say: the whole way is tried within one
            step. A run that is resumed from a saved step does neither.
        environment: The rules.
        reward: Weights and penalty.
        rollout: How episodes are made.
        algorithm: What is learnt from them.
        evaluation: When it is measured.
        checkpoint: When it is saved.
        tracking: Where it is shown.
        openrlhf: Machines, for that trainer.
        verl: Machines, for that trainer.
    """

    name: str = field(metadata=FREE)
    steps: int = field(metadata=FREE)
    model: ModelConfig
    data: DataConfig
    optimiser: OptimiserConfig = field(metadata=APPLIED)
    trainer: str = "auto"
    seed: int = 0
    early: bool = field(default=False, metadata=FREE)
    environment: EnvironmentConfig = EnvironmentConfig()
    reward: RewardConfig = RewardConfig()  # noqa: RUF009 - frozen
    rollout: RolloutConfig = RolloutConfig()
    algorithm: AlgorithmConfig = AlgorithmConfig()
    evaluation: EvaluationConfig = field(default=EvaluationConfig(), metadata=FREE)
    checkpoint: CheckpointConfig = field(default=CheckpointConfig(), metadata=FREE)
    tracking: TrackingConfig = field(default=TrackingConfig(), metadata=FREE)
    openrlhf: OpenRLHFConfig = OpenRLHFConfig()
    verl: VerlConfig = VerlConfig()

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps")
        _at_least(self, 0, "seed")
