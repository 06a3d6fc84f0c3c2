"""What is saved stays: a full disk, a state that is gone, and how many states there are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from trainers import make_trainer
from trainers.checkpoint import check_room
from trainers.errors import CheckpointError
from trainers.files import linked, sealed_line
from trainers.hosted.trainer import take_checkpoint
from trainers.openrlhf.main import main as lead
from trainers.openrlhf.run import OpenRLHFRun
from trainers.runs import result_of, store_of


@pytest.fixture
def run(recipe, untrained, tmp_path):
    config = recipe(f"model.path={untrained}", "steps=9", "checkpoint.keep=2")
    made = OpenRLHFRun(tmp_path, tmp_path, config, parameters=1000)
    made.folder.mkdir()
    return made


def saved(run: OpenRLHFRun, step: int, *, whole: bool = True) -> None:
    """What OpenRLHF leaves of a step; of one that failed, no ``latest`` and no model."""
    state = run.states / "_actor" / f"global_step{step}"
    state.mkdir(parents=True, exist_ok=True)
    (state / "shard.pt").write_text("weights and moments")
    if whole:
        (state.parent / "latest").write_text(state.name)
        run.note_model(step)
        run.model_of(step).mkdir()
        (run.model_of(step) / "model.safetensors").write_text(f"weights of step {step}")


def states(run: OpenRLHFRun) -> list[str]:
    return sorted(p.name for p in (run.states / "_actor").iterdir() if p.is_dir())


def test_a_save_that_fails_keeps_the_weights_and_a_resume_makes_it_good(run, monkeypatch):
    store = store_of(run.config, run.out)
    for step in (4, 9):
        saved(run, step)
        if step == 9:
            monkeypatch.setattr("trainers.checkpoint.seal_folder", full_disk)
            with pytest.raises(CheckpointError, match=r"step-000004 is the newest one\. Make room"):
                take_checkpoint(run, store, {})
            monkeypatch.undo()
            with pytest.raises(CheckpointError, match=r"over at step 9, and .* ends at step 4"):
                result_of(run.config, store, run.out, {}, {})
        take_checkpoint(run, store, {step: {"eval/accuracy": 0.5, "eval/request_rate": 0.0}})
        run.prune()
    assert result_of(run.config, store, run.out, {}, {}).steps == 9
    text = (store.last.folder / "model" / "model.safetensors").read_text()
    assert text == "weights of step 9"
    assert (store.last.folder / "model" / "preprocessor_config.json").exists()


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_last_whole_state_stays_whatever_fails(run):
    for step in (2, 4, 6):
        saved(run, step)
        run.prune()
    assert states(run) == ["global_step4", "global_step6"]
    for _ in range(3):  # the disk is full at step 8, again and again
        saved(run, 8, whole=False)
        assert run.saved_steps() == 6
        assert "global_step6" in states(run)
    saved(run, 8)
    run.prune()
    assert states(run) == ["global_step6", "global_step8"]
    assert not list(run.states.glob("*_hf"))


def test_a_state_that_is_gone_is_named(run):
    for step in (2, 4):
        saved(run, step)
    shutil.rmtree(run.states / "_actor" / "global_step4")
    with pytest.raises(CheckpointError, match=r"'global_step4', which is not there; .*step2"):
        run.saved_steps()


def test_a_saved_step_without_a_model_is_no_success(run):
    saved(run, 9)
    shutil.rmtree(run.model_of(9))
    (run.states / "model.json").unlink()
    with pytest.raises(CheckpointError, match="OpenRLHF saved step 9, and there is no model"):
        take_checkpoint(run, store_of(run.config, run.out), {})


def test_room_is_looked_for_first(run, tmp_path):
    saved(run, 2)
    assert run.state_bytes() == len("weights and moments") + len("weights of step 2")
    assert run.room() > 3 * 14 * 1000
    before, aside = run.room(), run.out / ".vt" / "previous" / "openrlhf" / "state"
    aside.mkdir(parents=True)
    (aside / "shard.pt").write_bytes(b"0" * 20_000)  # goes only when the new run is whole
    assert run.room() == before
    (run.folder / "twice").mkdir()
    (run.folder / "twice" / "a").write_bytes(b"0" * 1000)
    os.link(run.folder / "twice" / "a", run.folder / "twice" / "b")
    assert run.room() == before - 1000
    check_room(tmp_path / "not yet" / "there", 1000, "checkpoint")
    with pytest.raises(CheckpointError, match=r"the checkpoint need about .* GB in .* are free"):
        check_room(tmp_path / "not yet" / "there", 10**18, "checkpoint")


def test_a_run_is_neither_prepared_nor_led_where_there_is_no_room(
    recipe, untrained, tmp_path, monkeypatch
):
    """Whoever starts it: ``vt train``, ``--prepare``, or the script alone."""
    config = recipe(f"model.path={untrained}")
    monkeypatch.setattr("trainers.installed.missing", lambda _: None)
    trainer = make_trainer("openrlhf")
    trainer.prepare(config, tmp_path)
    monkeypatch.setattr("trainers.checkpoint.shutil.disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(CheckpointError, match="checkpoints of the run need"):
        trainer.prepare(config, tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="checkpoints of the run need"):
        lead(tmp_path / "openrlhf")


def test_a_copy_takes_no_room_and_leaves_its_source(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text(sealed_line({"x": 1}))
    linked(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "a" / "b" / "file").samefile(tmp_path / "c" / "b" / "file")
    shutil.rmtree(tmp_path / "a")
    assert (tmp_path / "c" / "b" / "file").read_text() == sealed_line({"x": 1})
