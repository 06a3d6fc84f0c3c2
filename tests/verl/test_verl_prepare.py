"""Preparing a run of verl, and reading what it tells."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from verl_runs import SMALL, run_of

from experiments.cli import main
from experiments.preparation.writing import write_jsonl
from trainers import make_trainer
from trainers.checkpoint import CheckpointStore
from trainers.errors import Busy, CheckpointError, Damaged, TrainingError
from trainers.hosted.trainer import take_checkpoint, watch
from trainers.results import LOCK
from trainers.runs import result_of, store_of
from trainers.tracking import JsonLines
from trainers.verl.main import main as lead
from trainers.verl.played import Played, forget_after, told
from trainers.verl.run import VerlRun, log_row
from vt_env import ConfigError, open_source


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    """verl counts as installed; nothing here starts it."""
    monkeypatch.setattr("trainers.installed.version_of", lambda name: "0.9.1")


def test_a_prepared_run_has_a_script_with_verls_own_command(untrained, tmp_path, capsys):
    out = tmp_path / "my run"
    settings = [f"model.path={untrained}", *SMALL, "verl.nodes=4"]
    assert main(["train", "laptop", *settings, "--out", str(out), "--prepare"]) in (0, None)
    script = out / "verl" / "start.sh"
    assert "start.sh" in capsys.readouterr().out.replace("\n", "")
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert f"-m trainers.verl.main '{out}/verl' " in text
    assert "-m verl.trainer.main_ppo" in text
    assert "trainer.nnodes=4" in text
    run = VerlRun.read(out / "verl")
    assert run.config.verl.nodes == 4
    assert run.max_prompt + run.max_rest >= run.max_length > 40
    assert len(run.rows("train").read_text().splitlines()) == 3 * 4
    assert len(run.rows("validation").read_text().splitlines()) == 8


def test_another_run_in_the_folder_is_not_trained_over(untrained, tmp_path):
    trainer = make_trainer("verl")
    config = run_of(untrained, tmp_path, "early=true").config
    trainer.prepare(config, tmp_path)
    run = VerlRun.read(tmp_path / "verl")
    (run.checkpoints / "global_step_2").mkdir(parents=True)
    (run.checkpoints / "latest_checkpointed_iteration.txt").write_text("2")
    assert run.saved_steps() == 2
    with pytest.raises(ConfigError, match="add --resume to go on"):
        trainer.prepare(config, tmp_path)
    script = tmp_path / "verl" / "start.sh"
    for setting in ("val_before_train=True", "save_freq=1 "):
        assert f"trainer.{setting}" in script.read_text()
    changed = run_of(untrained, tmp_path, "early=true", "steps=9").config
    trainer.prepare(changed, tmp_path, resume=True)
    for setting in ("val_before_train=False", "save_freq=2 "):  # step 1 is over
        assert f"trainer.{setting}" in script.read_text()
    with pytest.raises(ConfigError, match=r"rollout.group_size = 4, the recipe says 2"):
        trainer.prepare(
            run_of(untrained, tmp_path, "rollout.group_size=2").config, tmp_path, resume=True
        )


def test_a_run_that_a_script_leads_is_locked(untrained, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    make_trainer("verl").prepare(run_of(untrained, tmp_path).config, tmp_path)
    with (tmp_path / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy, match="another process is at work in"):
            lead(tmp_path / "verl", [])


def test_a_resume_needs_the_data_the_model_and_the_optimiser_of_before(untrained, tmp_path):
    trainer, out, model = make_trainer("verl"), tmp_path / "run", tmp_path / "model"
    shutil.copytree(untrained, model)
    chosen = ((sample, {}) for sample in open_source("generated:n=12,split=train"))
    table = write_jsonl(tmp_path / "data", chosen, "drawn") / "samples.jsonl"

    def config(*overrides):
        return run_of(model, out, f"data.train=jsonl:{table.parent}", *overrides).config

    trainer.prepare(config(), out)
    CheckpointStore(out / "checkpoint").save(1, lambda folder: (folder / "x").touch())
    before = (out / "verl" / "run.json").read_bytes()
    first, rest = table.read_bytes().split(b"\n", 1)
    asked = json.dumps({**json.loads(first), "answers": ["something else"]}).encode()
    weights = (model / "model.safetensors").read_bytes()
    changed = {
        table: asked + b"\n" + rest,
        model / "model.safetensors": weights[:-1] + bytes([weights[-1] ^ 1]),
    }
    for path, other in changed.items():
        data = path.read_bytes()
        path.write_bytes(other)
        with pytest.raises(ConfigError, match="is not what the run began with"):
            trainer.prepare(config(), out, resume=True)
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"learning_rate = 0.001, the recipe says 1e-07"):
        trainer.prepare(config("optimiser.learning_rate=1e-7"), out, resume=True)
    assert (out / "verl" / "run.json").read_bytes() == before
    trainer.prepare(config(), out, resume=True)


def test_a_save_that_fails_is_made_good_by_a_resume(untrained, tmp_path, monkeypatch):
    run = run_of(untrained, tmp_path, "steps=2")
    store = store_of(run.config, tmp_path)
    run.model_of(2).mkdir(parents=True)
    (run.model_of(2) / "model.safetensors").write_text("weights")
    (run.checkpoints / "latest_checkpointed_iteration.txt").write_text("2")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainers.checkpoint.seal_folder", full)
    with pytest.raises(CheckpointError, match=r"No space left on device; .* Make room"):
        take_checkpoint(run, store, {})
    assert (run.model_of(2) / "model.safetensors").read_text() == "weights"
    monkeypatch.undo()
    take_checkpoint(run, store, {})
    assert result_of(run.config, store, tmp_path, {}, {}).steps == 2


def logged(run: VerlRun, begin: int, *steps: int) -> None:
    lines = [json.dumps({"step": s, "data": {"critic/score/mean": begin + s / 10}}) for s in steps]
    (run.folder / f"steps-{begin:06d}.jsonl").write_text("\n".join(lines) + '\n{"step": ')


def test_steps_that_a_resume_played_again_count_once(untrained, tmp_path):
    run = run_of(untrained, tmp_path)
    run.folder.mkdir()
    assert list(run.logged_steps(after=0)) == []  # verl has not begun
    logged(run, 0, 1, 2, 3)
    logged(run, 2, 3, 4)
    assert [(s, d["critic/score/mean"]) for s, d in run.logged_steps(after=1)] == [
        (2, 0.2),
        (3, 2.3),
        (4, 2.4),
    ]
    log = run.folder / "steps-000002.jsonl"
    log.write_text(log.read_text().replace('"step": 4', '"stop": 4'))
    with pytest.raises(Damaged, match=r"steps-000002\.jsonl, line 2: it is no step"):
        list(run.logged_steps(after=1))
    run.checkpoints.mkdir()
    for text in (b"2", b"", b"\xb2"):
        (run.checkpoints / "latest_checkpointed_iteration.txt").write_bytes(text)
        with pytest.raises(CheckpointError, match="of which there is no folder"):
            run.saved_steps()


def test_steps_reach_the_log_under_its_names(untrained, tmp_path):
    run = run_of(untrained, tmp_path)
    run.folder.mkdir()
    script = run.folder / "start.sh"
    data = {"step": 1, "data": {"critic/score/mean": None, "actor/lr": 0.1, "other": 3}}
    script.write_text(f"#!/bin/sh\necho '{json.dumps(data)}' > {run.step_log}\n")
    script.chmod(0o755)
    heard = []
    watch(
        run,
        script,
        store_of(run.config, tmp_path),
        lambda step, row: heard.append((step, dict(row))),
    )
    assert heard == [(1, {"reward/mean": None, "train/learning_rate": 0.1})]
    (line,) = JsonLines(tmp_path / "metrics.jsonl").rows()
    assert line == {"step": 1, "reward/mean": None, "train/learning_rate": 0.1}
    script.write_text("#!/bin/sh\necho 'ray.exceptions.RayTaskError: x'; exit 3\n")
    with pytest.raises(TrainingError, match=r"verl stopped with exit code 3: ray.exceptions"):
        watch(run, script, store_of(run.config, tmp_path), None)
    run.stop(TrainingError("the engine said tokens that are forbidden"))
    run.stop(TrainingError("a later one"))
    with pytest.raises(TrainingError, match="code 3: TrainingError: the engine said tokens that"):
        watch(run, script, store_of(run.config, tmp_path), None)
    run.begin()
    assert run.why_stopped() == ""


def test_the_share_of_tokens_is_that_of_all_pictures():
    where = "val-aux/validation/env"
    row = log_row({f"{where}/visual_tokens/mean@1": 12.0, f"{where}/full_tokens/mean@1": 16.0})
    assert row["eval/token_ratio"] == 0.75


def test_rows_that_cannot_be_read_are_named(tmp_path):
    dataset = pytest.importorskip("trainers.verl.hooks", reason="verl is not installed")
    from vt_env import DataError

    with pytest.raises(DataError, match=r"none.jsonl cannot be read"):
        dataset.VisionThinkDataset(str(Path(tmp_path) / "none.jsonl"))


def test_what_is_measured_before_the_first_step_stands_in_its_line(untrained, tmp_path):
    run = run_of(untrained, tmp_path)
    run.folder.mkdir()
    measured = {"val-aux/validation/accuracy/mean@1": 0.25}
    rows = [{"step": 0, "data": measured}, {"step": 1, "data": {"actor/lr": 0.1}}]
    file, log = run.folder / "steps-000000.jsonl", JsonLines(tmp_path / "metrics.jsonl")
    file.write_text(json.dumps(rows[0]) + "\n")
    run.collect(log)  # the first step is not done
    assert list(log.rows()) == []
    for _ in range(2):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run.collect(log)
    assert list(log.rows()) == [{"step": 1, "train/learning_rate": 0.1, "before/accuracy": 0.25}]
    second = {"step": 2, "data": {"actor/lr": 0.2}}
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, second]))
    run.collect(log)
    assert [row["step"] for row in log.rows()] == [1, 2]


def test_the_log_tells_what_the_rollouts_of_a_step_came_to(untrained, tmp_path, caplog):
    """Of all processes; of a step that is played again, only the last time counts."""
    run = run_of(untrained, tmp_path)
    run.folder.mkdir()
    facts = {"rollout/failed": 0.0, "rollout/tokens": 10.0}
    one, other = (Played(run.folder, engine, 4) for engine in ("one", "other"))
    for step in (1, 2):
        for tokens, failed in zip((4, 8, 12, 16), (0, 0, 0, 1), strict=True):
            one.note(step, {"rollout/tokens": tokens, "rollout/failed": failed})
            other.note(step, facts)
    other.note(2, facts)  # of a group that is not over
    file, log = run.folder / "steps-000000.jsonl", JsonLines(tmp_path / "metrics.jsonl")
    file.write_text("".join(json.dumps({"step": step, "data": {}}) + "\n" for step in (1, 2)))
    run.collect(log)
    numbers = {"rollout/tokens": 10.0, "rollout/failed": 1.0}
    assert list(log.rows()) == [{"step": 1, **numbers}, {"step": 2, **numbers}]
    forget_after(run.folder, 1)
    assert (told(run.folder, 1), told(run.folder, 2)) == (numbers, {})
    damaged = run.folder / "played" / "000001-one.json"
    damaged.write_text(damaged.read_text().replace("40", "41"))
    assert told(run.folder, 1) == {"rollout/tokens": 10.0, "rollout/failed": 0.0}
    assert "is not what was written; step 1 is told without it" in caplog.text
