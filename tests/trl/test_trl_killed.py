"""A run through TRL is killed at random moments, saves included, and goes on bit for bit."""

from __future__ import annotations

import shutil

import pytest
from killing import Killer, log_of
from resuming import resume

from experiments.recipe import load_recipe, write_snapshot

SMALL = (
    "trainer=trl", "model.device=cpu", "steps=4", "rollout.prompts=2", "rollout.group_size=2",
    "rollout.probes=0", "rollout.max_new_tokens=8", "optimiser.minibatches=1",
    "optimiser.microbatch=4", "optimiser.decay=none", "algorithm.options.kl_coef=0.1",
    "algorithm.options.aggregation=token_mean", "evaluation.every=0", "checkpoint.every=1",
    "data.train=generated:n=16,split=train", "data.validation=generated:n=4,split=validation",
    "tracking.wandb=off",
)  # fmt: skip


@pytest.mark.slow
def test_killed_at_random_moments(untrained, tmp_path):
    write_snapshot(tmp_path, load_recipe("laptop", [f"model.path={untrained}", *SMALL]))
    out, whole = tmp_path / "run", []
    out.mkdir()
    killer = Killer(resume, str(out))

    def ended():
        weights = out / "checkpoint" / "step-000004" / "model" / "model.safetensors"
        whole.append((log_of(out), weights.read_bytes()))
        assert whole[0] == whole[-1]
        shutil.rmtree(out)
        out.mkdir()

    killer.at_random_moments(ended)
    killer.close()
