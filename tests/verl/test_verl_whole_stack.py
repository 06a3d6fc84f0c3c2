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
from experiments.study import load_study
from trainers import make_trainer

ON_A_CPU = load_study("trainers").arms["verl"]["verl.overrides"]


@pytest.mark.slow
def test_two_steps_of_grpo(untrained, tmp_path):
    run = run_of(
        untrained,
        tmp_path,
        "steps=2",
        "early=true",
        "algorithm.options.kl_coef=0.0",
        f"verl.overrides={json.dumps(ON_A_CPU)}",
    )
    heard = []
    result = make_trainer("verl").train(
        run.config, tmp_path, progress=lambda step, row: heard.append((step, dict(row)))
    )
    assert result.steps == 2
    assert [step for step, _ in heard] == [1, 2]
    assert all(row["reward/mean"] is not None for _, row in heard)
    assert ["before/accuracy" in row for _, row in heard] == [True, False]
    saved = sorted(folder.name for folder in (tmp_path / "checkpoint").glob("step-*"))
    assert saved == ["step-000001", "step-000002"]  # the recipe's own: every second
    # The engine may not say some of the few words, of which all are about as likely: about 0.09.
    assert all(abs(row["train/engine_kl"]) < 0.15 for _, row in heard)
    assert 0 <= result.evaluation["eval/accuracy"] <= 1
    assert result.evaluation["eval/token_ratio"] >= 0.25
    assert load_vlm(result.checkpoint).model.config.model_type == "qwen2_5_vl"
    again = make_trainer("verl").train(run.config, tmp_path, resume=True)
    assert again.checkpoint == result.checkpoint
