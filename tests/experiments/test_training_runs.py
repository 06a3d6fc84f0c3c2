"""Runs beside one another: what fails is said, what is done is kept, nothing is left running."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.cli import main
from experiments.training_runs import Run, train
from trainers.errors import TrainingError

pytest.importorskip("transformers")

FEW = (
    *("pages", "steps=1", "rollout.prompts=2", "rollout.group_size=2", "rollout.probes=0"),
    *("optimiser.minibatches=1", "optimiser.warmup_steps=0", "tracking.wandb=off"),
    "data.validation=pages:n=2,split=validation,kinds=form",
)


def nothing(steps: object) -> None:
    """Looks at no progress."""


def test_each_leaves_its_model_and_is_not_done_again(tmp_path: Path) -> None:
    runs = [Run(f"seed {seed}", [*FEW, f"seed={seed}"], tmp_path / str(seed)) for seed in (1, 2)]
    seen: list[list[int]] = []
    train(runs, 2, lambda steps: seen.append(list(steps)))
    assert seen[-1] == [1, 1]
    models = [run.checkpoint / "model.safetensors" for run in runs]
    one, other = (model.read_bytes() for model in models)
    assert one != other
    before = models[0].stat().st_mtime_ns
    train(runs, 1, nothing)
    assert models[0].stat().st_mtime_ns == before


def test_one_that_fails_ends_the_others_with_its_last_words(tmp_path: Path) -> None:
    wrong = Run("wrong", [*FEW, "seed=1", "data.train=nothing:x"], tmp_path / "wrong")
    long = Run("long", [*FEW, "seed=1", "steps=9999"], tmp_path / "long")
    with pytest.raises(TrainingError) as caught:
        train([long, wrong], 2, nothing)
    said = str(caught.value)
    assert "training wrong ended with code 2" in said
    assert "Unknown source 'nothing'" in said
    assert str(wrong.log) in said
    # Nobody holds its folder any more.
    assert main(["train", *long.words, "steps=1", "--overwrite", "--out", str(long.folder)]) == 0
