"""Preparing a run, following it, and what is said when it fails."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from small_runs import ON_A_CPU, SMALL

from experiments.cli import main
from experiments.preparation.writing import write_jsonl
from trainers import installed, make_trainer
from trainers.checkpoint import CheckpointStore
from trainers.errors import Busy, TrainingError
from trainers.files import read_sealed, sealed_line, write_sealed
from trainers.hosted.trainer import follow, last_error, watch
from trainers.openrlhf.main import main as lead
from trainers.openrlhf.run import OpenRLHFRun
from trainers.results import LOCK, begin
from trainers.runs import same_recipe, store_of
from vt_env import ConfigError, open_source


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
    assert OpenRLHFRun.read(out / "openrlhf").config.openrlhf.nodes == 4


def test_the_local_trainer_has_nothing_to_prepare(untrained, tmp_path, capsys):
    arguments = ["train", "laptop", f"model.path={untrained}", "--out", str(tmp_path), "--prepare"]
    assert main(arguments) not in (0, None)
    assert "--prepare is for trainer=openrlhf or verl" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("name", ["request, zoom", "me@home"])
def test_a_folder_whose_name_openrlhf_would_cut_in_two_is_refused(recipe, tmp_path, name):
    with pytest.raises(ConfigError, match=r"OpenRLHF takes [,@] in .* for the end of a path"):
        make_trainer("openrlhf").prepare(recipe(), tmp_path / name)


def test_another_run_in_the_folder_is_not_trained_over(recipe, tmp_path):
    trainer = make_trainer("openrlhf")
    trainer.prepare(recipe(), tmp_path)
    CheckpointStore(tmp_path / "checkpoint").save(1, lambda folder: (folder / "x").touch())
    with pytest.raises(ConfigError, match="add --resume to go on"):
        trainer.prepare(recipe(), tmp_path)
    trainer.prepare(recipe("steps=9"), tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r"rollout.group_size = 4, the recipe says 2"):
        trainer.prepare(recipe("rollout.group_size=2"), tmp_path, resume=True)


def test_an_overwrite_makes_room_for_a_run_and_a_typo_costs_nothing(untrained, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["train", "laptop", f"model.path={untrained}", *ON_A_CPU, *SMALL, "--out", str(out),
             "--prepare"]  # fmt: skip
    assert main(words) == 0
    latest = out / "openrlhf" / "state" / "_actor" / "latest"
    (latest.parent / "global_step50").mkdir(parents=True)
    latest.write_text("global_step50")
    CheckpointStore(out / "checkpoint").save(50, lambda folder: (folder / "x").touch())
    (out / "openrlhf" / "notes.txt").write_text("mine")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for wrong in ("model.path=./nowhere", "openrlhf.sync=x", "data.train=nothing:x", "--resume"):
        more = [wrong] if wrong != "--resume" else ["rollout.group_size=2", wrong]
        assert main([*words, *more, *(["--overwrite"] if wrong != "--resume" else [])]) == 2
        assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    assert main([*words, "--overwrite"]) == 0, capsys.readouterr().err
    assert not latest.exists()
    assert not list((out / "checkpoint").glob("step-*"))
    assert (out / "openrlhf" / "notes.txt").read_text() == "mine"
    assert OpenRLHFRun.read(out / "openrlhf").saved_steps() == 0


def test_a_resume_needs_the_data_and_the_model_of_before(untrained, recipe, tmp_path):
    trainer, out, model = make_trainer("openrlhf"), tmp_path / "run", tmp_path / "model"
    shutil.copytree(untrained, model)
    trainer.prepare(recipe(f"model.path={model}"), out)
    CheckpointStore(out / "checkpoint").save(1, lambda folder: (folder / "x").touch())
    before = (out / "openrlhf" / "run.json").read_bytes()
    weights = model / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ConfigError, match=r"the model in .* is not what the run began with"):
        trainer.prepare(recipe(f"model.path={model}"), out, resume=True)
    assert (out / "openrlhf" / "run.json").read_bytes() == before
    weights.write_bytes(data)
    trainer.prepare(recipe(f"model.path={model}"), out, resume=True)
    changed = recipe(f"model.path={model}", "optimiser.learning_rate=1e-7")
    with pytest.raises(ConfigError, match=r"learning_rate = 0.001, the recipe says 1e-07"):
        trainer.prepare(changed, out, resume=True)


def test_a_resume_needs_the_answers_of_before(recipe, tmp_path):
    trainer, out = make_trainer("openrlhf"), tmp_path / "run"
    chosen = ((sample, {}) for sample in open_source("generated:n=12,split=train"))
    table = write_jsonl(tmp_path / "data", chosen, "drawn") / "samples.jsonl"
    config = recipe(f"data.train=jsonl:{table.parent}")
    trainer.prepare(config, out)
    CheckpointStore(out / "checkpoint").save(1, lambda folder: (folder / "x").touch())
    first, *rest = table.read_text().splitlines(keepends=True)
    row = {**json.loads(first), "answers": ["something else"]}
    table.write_text("".join([json.dumps(row) + "\n", *rest]))
    with pytest.raises(ConfigError, match=r"the data \(train\) .* is not what the run began with"):
        trainer.prepare(config, out, resume=True)


def test_a_run_that_goes_on_reads_what_an_earlier_version_wrote(recipe, tmp_path):
    """A setting that there was not yet has its default, in the record and in the comparison."""
    run = OpenRLHFRun(tmp_path, tmp_path, recipe())
    run.write()
    record = read_sealed(run.folder / "run.json")
    del record["config"]["rollout"]["arm"]
    del record["config"]["verl"]
    write_sealed(run.folder / "run.json", record)
    assert OpenRLHFRun.read(run.folder) == run
    same_recipe(record["config"], run.config)
    forced = replace(run.config, rollout=replace(run.config.rollout, arm="direct", probes=0))
    with pytest.raises(ConfigError, match=r"rollout.arm = '', the recipe says 'direct'"):
        same_recipe({**record["config"], "rollout": {
            **record["config"]["rollout"], "probes": 0,
        }}, forced)  # fmt: skip
    del record["config"]["steps"]  # which has no default
    write_sealed(run.folder / "run.json", record)
    with pytest.raises(TrainingError, match="cannot be read, or is another version's"):
        OpenRLHFRun.read(run.folder)


def test_a_run_that_a_script_leads_is_locked(recipe, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    trainer = make_trainer("openrlhf")
    trainer.prepare(recipe(), tmp_path)
    with (tmp_path / LOCK).open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        for act in (
            lambda: lead(tmp_path / "openrlhf"),
            lambda: trainer.prepare(recipe(), tmp_path, resume=True),
        ):
            with pytest.raises(Busy, match="another process is at work in"):
                act()


def test_what_a_run_starts_holds_its_lock(recipe, tmp_path):
    """Also when the one who started it is gone; nobody else gets it meanwhile."""
    run = OpenRLHFRun(tmp_path, tmp_path, recipe())
    code = (
        "import sys; from pathlib import Path; from trainers.locks import keep, locked\n"
        "keep(Path(sys.argv[1])); print('held')"
    )
    body = f'"{sys.executable}" -c "{code}" "{tmp_path / LOCK}"'
    with begin(tmp_path, "train", ("*",)):
        follow(run, script_of(run.folder, body), lambda: None)
    assert (run.folder / "log.txt").read_text() == "held\n"


def script_of(folder: Path, body: str) -> Path:
    folder.mkdir(parents=True)
    script = folder / "start.sh"
    script.write_text(f"#!/usr/bin/env bash\n{body}\n")
    script.chmod(0o755)
    return script


def test_steps_are_told_of_as_they_come(recipe, tmp_path):
    run = OpenRLHFRun(tmp_path, tmp_path, recipe())
    rows = ({"step": step, "reward/mean": step / 2} for step in (1, 2))
    lines = [sealed_line(row).strip() for row in rows]
    (tmp_path / "metrics.jsonl").write_text(sealed_line({"step": 1}))  # of an attempt that is lost
    script = script_of(
        run.folder, f"printf '%s\\n' '{lines[0]}' '{lines[1]}' >> {tmp_path}/metrics.jsonl"
    )
    told = []
    watch(
        run,
        script,
        store_of(run.config, tmp_path),
        lambda step, metrics: told.append((step, metrics["reward/mean"])),
    )
    assert told == [(1, 0.5), (2, 1.0)]


def test_a_failure_says_what_was_printed_last(recipe, tmp_path):
    run = OpenRLHFRun(tmp_path, tmp_path, recipe())
    printed = "(Actor pid=7) vt_env.errors.PictureError: sample 'x': torn"
    script = script_of(run.folder, f'echo "{printed}"; echo "bye"; exit 3')
    with pytest.raises(
        TrainingError, match=r"code 3: vt_env.errors.PictureError: sample 'x': torn; nothing was"
    ):
        watch(run, script, store_of(run.config, tmp_path), None)
    assert last_error(run.folder / "log.txt").endswith("torn")
