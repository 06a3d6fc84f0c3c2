"""A checkpoint that changes under its path is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from evaluations import result, vt

from experiments.provenance import fingerprints
from experiments.recipe import load_recipe, other_bound, write_snapshot
from trainers.files import read_sealed, write_sealed


def tiny(folder: Path, seed: int) -> Path:
    pytest.importorskip("torch")
    from agents.tiny.checkpoint import make_vlm, save

    return save(make_vlm(seed=seed), folder)


def test_names_sizes_and_content_count_and_times_do_not(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    (one / "config.json").write_text("{}")
    (one / "model.safetensors").write_bytes(bytes(5 << 20))
    (one / "logs").mkdir()
    before = fingerprints(f"tiny:{one},temperature=0")[str(one)]
    (one / "logs" / "more").write_text("not loaded")
    shutil.copytree(one, tmp_path / "two")  # at another time
    (two,) = fingerprints(f"transformers:path={tmp_path / 'two'}").values()
    assert two == fingerprints(f"tiny:{one}")[str(one)] == before
    weights = bytearray(5 << 20)
    for at in (0, len(weights) - 1, len(weights) // 2):  # a change of 1/32 of a large file is seen
        changed = bytearray(weights)
        end = min(len(weights), at + len(weights) // 32)
        changed[min(at, end - 1) : end] = b"x" * max(end - at, 1)
        (one / "model.safetensors").write_bytes(changed)
        assert fingerprints(f"tiny:{one}")[str(one)] != before
    (one / "model.safetensors").write_bytes(weights)
    (one / "config.json").rename(one / "other.json")
    assert fingerprints(f"tiny:{one}")[str(one)] != before


def test_what_is_no_file_has_none() -> None:
    assert fingerprints("random:p=0.3,answerer=ocr") == fingerprints("direct") == {}
    assert fingerprints("vllm:Nobody/NoModel") == fingerprints(object()) == {}


def test_an_evaluation_does_not_go_on_with_other_weights(tmp_path: Path, capsys) -> None:
    model, out = tiny(tmp_path / "model", 0), tmp_path / "out"
    argv = ["eval", "--agent", f"tiny:{model}", "--data", "generated:n=4", "--prompt", "tiny"]
    assert vt(*argv, "--mode", "low", "--out", out) == 0
    before = result(out)
    assert vt(*argv, "--mode", "low", "--mode", "full", "--out", out, "--resume") == 0
    shutil.rmtree(model)
    tiny(model, 1)
    capsys.readouterr()
    assert vt(*argv, "--mode", "low", "--mode", "visionthink", "--out", out, "--resume") == 2
    told = capsys.readouterr().err
    assert "was played with other weights" in told
    assert str(model) in told
    assert result(out)["modes"]["low"]["accuracy"] == before["modes"]["low"]["accuracy"]
    config = read_sealed(out / "low" / "evaluation.json")
    del config["checkpoint"]  # as an earlier version wrote it
    write_sealed(out / "low" / "evaluation.json", config)
    assert vt(*argv, "--mode", "low", "--out", out, "--resume") == 2
    assert "does not say with which weights" in capsys.readouterr().err
    assert vt(*argv, "--mode", "low", "--out", out, "--overwrite") == 0
    shards = [tmp_path / "a", tmp_path / "b"]
    assert vt(*argv, "--batch", "2", "--shard", "0/2", "--out", shards[0]) == 0
    shutil.rmtree(model)
    tiny(model, 2)
    assert vt(*argv, "--batch", "2", "--shard", "1/2", "--out", shards[1]) == 0
    capsys.readouterr()
    assert vt("eval", "--merge", *shards, "--out", tmp_path / "merged") == 2
    assert "other weights" in capsys.readouterr().err


def test_another_bound_than_the_runs_is_told(tmp_path: Path) -> None:
    """A run that saw shrunk pictures was measured on whole ones, and nothing said so."""
    model = tmp_path / "run" / "checkpoint" / "step-000001" / "model"
    model.mkdir(parents=True)
    write_snapshot(tmp_path / "run", load_recipe("laptop", ["environment.max_pixels=400"]))
    spec = f"tiny:{model}"
    whole = str(other_bound(spec, None))
    assert "shrunk above 400 pixels, and is shown them whole" in whole
    assert "add --max-pixels 400" in whole
    assert other_bound(spec, 400) is None
    assert other_bound("direct", None) is None
    write_snapshot(tmp_path / "run", load_recipe("laptop"))
    assert "leave out --max-pixels" in str(other_bound(spec, 400))
    (tmp_path / "run" / "recipe.toml").write_text("steps = 1")
    assert "is not known" in str(other_bound(spec, 400))


def test_the_bound_of_pictures_is_kept_and_compared(tmp_path: Path, scans, capsys) -> None:
    out = tmp_path / "out"
    argv = ["eval", "--agent", "direct", "--data", f"{scans},limit=2", "--out", out]
    assert vt(*argv, "--max-pixels", "40000") == 0
    assert result(out)["max_pixels"] == 40_000
    assert vt(*argv, "--max-pixels", "30000", "--resume") == 2
    assert "max_pixels is 40000 there and 30000 here" in " ".join(capsys.readouterr().err.split())


def test_a_preparation_does_not_go_on_with_other_weights(tmp_path: Path, capsys) -> None:
    model, out = tiny(tmp_path / "model", 0), tmp_path / "out"
    argv = ["prepare", "--agent", f"tiny:{model}", "--data", "generated:n=4", "--prompt", "tiny",
            "--rollouts", "1", "--gap", "1", "--unequal", "--out", out]  # fmt: skip
    assert vt(*argv) in (0, 2)  # an untrained model may leave nothing to write
    assert (out / "rollouts.jsonl").exists()
    shutil.rmtree(model)
    tiny(model, 1)
    capsys.readouterr()
    assert vt("prepare", "--resume", "--gap", "1", "--out", out) == 2
    assert "checkpoint was" in capsys.readouterr().err
