"""A run that OpenRLHF leads is killed at random moments, saves included, and nothing is lost.

OpenRLHF itself is a stand-in that saves as it does; the driver, the log, the checkpoints and what a
resume does are real. `test_whole_stack.py` kills an engine of OpenRLHF itself.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import stand_in
from killing import MOMENTS, leading, log_of

from trainers.hosted import trainer as hosted
from trainers.hosted.trainer import HostedTrainer
from trainers.openrlhf.run import OpenRLHFRun
from trainers.runs import store_of
from trainers.tracking import JsonLines

SETTINGS = ("steps=6", "checkpoint.every=1", "checkpoint.keep=2", "evaluation.every=0")


@pytest.fixture
def begun(recipe, tmp_path):
    """A run in a folder of that name, ready to be led; and what leads it."""
    with ExitStack() as leaders:

        def make(name):
            run = OpenRLHFRun(tmp_path / name, tmp_path, recipe(*SETTINGS), parameters=1000)
            return run, leaders.enter_context(leading(run, stand_in.lead, run.folder))

        yield make


@pytest.fixture
def resumed(monkeypatch):
    """What ``vt train --resume`` makes of a run; the stand-in is started as the library is."""

    def resume(run, leader):
        trainer = HostedTrainer.__new__(HostedTrainer)
        trainer.kind = OpenRLHFRun
        monkeypatch.setattr(HostedTrainer, "_prepared", lambda *_: run)
        monkeypatch.setattr(hosted, "watch", lambda *_: leader.whole())
        return trainer.run(run.config, run.out, None)

    return resume


def model(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_killed_at_random_moments(begun, resumed):
    whole, leader = begun("whole")
    seconds, killed, runs = leader.whole(), 0, 0
    while killed < MOMENTS:  # in another run, where one came to its end
        runs, saved = runs + 1, 0
        parts, leader = begun(f"parts-{runs}")
        while killed < MOMENTS and saved < whole.config.steps:
            killed += leader.kill(seconds / 3)
            before, saved = saved, parts.saved_steps()
            assert saved >= before, "a saved step is lost"
            if kept := store_of(parts.config, parts.out).newest():
                # behind by one where it was killed once between a state and its model, and so on
                assert kept.step <= saved
                assert model(kept.folder / "model") == stand_in.weights(kept.step)
        result = resumed(parts, leader)
        assert (result.steps, model(result.checkpoint)) == (6, stand_in.weights(6))
        assert log_of(parts.out) == log_of(whole.out)
        assert not (parts.folder / "last").exists()


@pytest.mark.slow
def test_killed_at_random_moments_of_the_last_save(begun, resumed):
    """The state is named the latest before its model is whole: half a model is no result."""
    run, leader = begun("run")
    leader.whole()
    killed = 0
    while killed < MOMENTS // 4:
        shutil.rmtree(run.out / "checkpoint" / "step-000006")
        tag = run.states / "_actor" / "global_step6"
        shutil.rmtree(tag)
        (run.states / "model.json").unlink(missing_ok=True)
        (tag.parent / "latest").write_text("global_step5")
        killed += leader.kill(0.3)
        result = resumed(run, leader)
        assert (result.steps, model(result.checkpoint)) == (6, stand_in.weights(6))


def test_half_a_model_of_the_last_step_is_no_result(begun, resumed):
    run, leader = begun("run")
    state = run.states / "_actor" / "global_step6" / "shard.pt"
    stand_in.slowly(state, stand_in.weights(6))
    (state.parent.parent / "latest").write_text("global_step6")
    (run.states / "global_step6_hf").mkdir()
    (run.states / "global_step6_hf" / "model.safetensors").write_bytes(b"half")
    for step in range(1, 7):
        JsonLines(run.out / "metrics.jsonl").append({"step": step})
    result = resumed(run, leader)
    assert model(result.checkpoint) == stand_in.weights(6)
