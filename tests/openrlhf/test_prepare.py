"""Preparing a run, following it, and what is said when it fails."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from small_runs import ON_A_CPU, SMALL

from experiments.cli import main
from trainers import installed, make_trainer
from trainers.checkpoint import CheckpointStore
from trainers.errors import TrainingError
from trainers.hosted.launch import last_error
from trainers.openrlhf.run import Run
from trainers.openrlhf.trainer import _follow
from vt_env import ConfigError


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    """OpenRLHF counts as installed; nothing here starts it."""
    monkeypatch.setattr(installed, "version_of", lambda name: "0.11.2")


def test_a_prepared_run_has_a_script_for_a_cluster(untrained, tmp_path, capsys):
    out = tmp_path / "run"
    settings = [f"model.path={untrained}", *ON_A_CPU, *SMALL, "openrlhf.nodes=4"]
    assert main(["train", "laptop", *settings, "--out", str(out), "--prepare"]) in (0, None)
    script = out / "openrlhf" / "start.sh"
    assert str(script) in capsys.readouterr().out.replace("\n", "")
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "ray start --address=HEAD:6379" in text
    assert f"-m trainers.openrlhf.main {out / 'openrlhf'}" in text
    assert "--actor.num_nodes 4" in text
    assert Run.read(out / "openrlhf").config.openrlhf.nodes == 4


def test_the_local_trainer_has_nothing_to_prepare(untrained, tmp_path, capsys):
    arguments = ["train", "laptop", f"model.path={untrained}", "--out", str(tmp_path), "--prepare"]
    assert main(arguments) not in (0, None)
    assert "--prepare is for trainer=openrlhf or verl" in capsys.readouterr().err.replace("\n", " ")


def test_another_run_in_the_folder_is_not_trained_over(recipe, tmp_path):
    trainer = make_trainer("openrlhf")
    trainer.prepare(recipe(), tmp_path)
    CheckpointStore(tmp_path / "checkpoint").save(1, lambda folder: (folder / "x").touch())
    with pytest.raises(ConfigError, match="holds a run already"):
        trainer.prepare(recipe(), tmp_path)
    trainer.prepare(recipe("steps=9"), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"rollout.group_size = 4, the recipe says 2"):
        trainer.prepare(recipe("rollout.group_size=2"), tmp_path, resume=True)


def script_of(folder: Path, body: str) -> Path:
    folder.mkdir(parents=True)
    script = folder / "start.sh"
    script.write_text(f"#!/usr/bin/env bash\n{body}\n")
    script.chmod(0o755)
    return script


def test_steps_are_told_of_as_they_come(recipe, tmp_path):
    run = Run(tmp_path, tmp_path, recipe())
    lines = [json.dumps({"step": step, "reward/mean": step / 2}) for step in (1, 2)]
    script = script_of(
        run.folder, f"printf '%s\\n' '{lines[0]}' '{lines[1]}' >> {tmp_path}/metrics.jsonl"
    )
    told = []
    _follow(run, script, lambda step, metrics: told.append((step, metrics["reward/mean"])))
    assert told == [(1, 0.5), (2, 1.0)]


def test_a_failure_says_what_was_printed_last(recipe, tmp_path):
    run = Run(tmp_path, tmp_path, recipe())
    printed = "(Actor pid=7) vt_env.errors.PictureError: sample 'x': torn"
    script = script_of(run.folder, f'echo "{printed}"; echo "bye"; exit 3')
    with pytest.raises(
        TrainingError, match=r"code 3: vt_env.errors.PictureError: sample 'x': torn; nothing was"
    ):
        _follow(run, script, None)
    assert last_error(run.folder / "log.txt").endswith("torn")
