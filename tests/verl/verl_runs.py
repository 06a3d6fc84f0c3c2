"""Settings that make the laptop's recipe small and fit for verl, and verl's own form of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.recipe import load_recipe
from trainers.verl.flags import command_line
from trainers.verl.run import VerlRun

SMALL = (
    "trainer=verl",
    "model.dtype=bfloat16",
    "model.freeze_vision=false",
    "data.train=generated:n=64,split=train",
    "data.validation=generated:n=8,split=validation",
    "steps=3",
    "rollout.prompts=4",
    "rollout.group_size=4",
    "rollout.probes=0",
    "optimiser.minibatches=1",
    "optimiser.microbatch=4",
    "optimiser.learning_rate=1e-3",
    "optimiser.warmup_steps=0",
    "optimiser.decay=none",
    "algorithm.options.kl_coef=0.001",
    "algorithm.options.aggregation=token_mean",
    "evaluation.every=2",
    "checkpoint.every=2",
    "tracking.wandb=off",
    "verl.gpus_per_node=1",
    "verl.attention=sdpa",
    "verl.eager=true",
    "verl.checkpointing=false",
    "verl.workers=1",
    "verl.offload=false",
)


def run_of(model: Path, out: Path, *overrides: str, **known: int) -> VerlRun:
    """A run of the small recipe."""
    config = load_recipe("laptop", [f"model.path={model}", *SMALL, *overrides])
    lengths = {"max_length": 400, "max_prompt": 150, "max_rest": 250, **known}
    return VerlRun(out, Path.cwd(), config, **lengths)


def write_state(run: VerlRun, step: int) -> None:
    """What verl leaves of a step that it saved."""
    (run.checkpoints / f"global_step_{step}" / "actor" / "huggingface").mkdir(parents=True)
    (run.checkpoints / "latest_checkpointed_iteration.txt").write_text(str(step), "utf-8")


def verls(run: VerlRun, *overrides: str) -> Any:
    """A run's settings as verl composes them from its own."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [*command_line(run), *overrides])


def write_rows(run: VerlRun, split: str, ids: Sequence[str]) -> None:
    """Rows as an export writes them, of any samples."""
    run.folder.mkdir(parents=True, exist_ok=True)
    rows = (
        {"question": "?", "label": {"split": split, "id": name, "shown": False}} for name in ids
    )
    run.rows(split).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
