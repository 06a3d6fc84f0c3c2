"""verl itself on a CPU: trainer, servers, agent loop manager, queue, learner and checkpoints."""

from __future__ import annotations

import json
import os

import pytest

pytest.importorskip("verl.trainer.main_ppo", reason="verl is not installed")
if os.environ.get("VERL_PLATFORM") != "cpu":
    pytest.skip("needs tests/verl/env", allow_module_level=True)

from verl_runs import run_of

from agents.models import load_vlm
from trainers import make_trainer

ACTOR, ROLLOUT, RAY = (
    "actor_rollout_ref.actor",
    "actor_rollout_ref.rollout",
    "ray_kwargs.ray_init",
)
ON_A_CPU = (
    "trainer.device=cpu",
    f"{ACTOR}.strategy=fsdp2",  # the first one moves weights to a GPU to spread them
    "actor_rollout_ref.ref.strategy=fsdp2",
    f"{ACTOR}.use_torch_compile=False",
    f"{ACTOR}.fsdp_config.use_torch_compile=False",
    f"{ROLLOUT}.free_cache_engine=False",
    f"+{ROLLOUT}.enable_sleep_mode=False",
    f"{ROLLOUT}.dtype=float32",
    f"{ROLLOUT}.max_num_seqs=32",
    f"{ROLLOUT}.checkpoint_engine.update_weights_bucket_megabytes=16",
    f"+{RAY}.address=local",
    f"+{RAY}.num_gpus=1",  # verl asks Ray for one
    f"{RAY}.num_cpus=24",
    f"+{RAY}.object_store_memory=500000000",
    f"+{RAY}.include_dashboard=False",
)


def test_two_steps_of_grpo(untrained, tmp_path):
    run = run_of(
        untrained,
        tmp_path,
        "steps=2",
        "algorithm.options.kl_coef=0.0",
        f"verl.overrides={json.dumps(list(ON_A_CPU))}",
    )
    heard = []
    result = make_trainer("verl").train(
        run.config, tmp_path, progress=lambda step, row: heard.append((step, dict(row)))
    )
    assert result.steps == 2
    assert [step for step, _ in heard] == [1, 2]
    assert all(row["reward/mean"] is not None for _, row in heard)
    # The engine may not say some of the few words, of which all are about as likely: about 0.09.
    assert all(abs(row["train/engine_kl"]) < 0.15 for _, row in heard)
    assert 0 <= result.evaluation["eval/accuracy"] <= 1
    assert result.evaluation["eval/token_ratio"] >= 0.25
    assert load_vlm(result.checkpoint).model.config.model_type == "qwen2_5_vl"
    again = make_trainer("verl").train(run.config, tmp_path, resume=True)
    assert again.checkpoint == result.checkpoint
