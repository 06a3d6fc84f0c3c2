"""From rollouts of a policy to its training on what they say."""

from __future__ import annotations

import json

import pytest

from experiments.cli import main

pytest.importorskip("torch")
pytest.importorskip("transformers")


def test_prepare_then_train(tiny, small, tmp_path, capsys):
    prepared = tmp_path / "prepared"
    argv = [
        "prepare", "--agent", f"tiny:{tiny}", "--prompt", "tiny", "--out", str(prepared),
        "--data", "generated:n=12,split=train", "--rollouts", "2", "--gap", "2",
        "--format", "jsonl", "--classes", "rest", "--batch", "12",
    ]  # fmt: skip
    assert main(argv) == 0, capsys.readouterr().err
    made = json.loads((prepared / "report.json").read_text())
    assert made["agent"].endswith("temperature=1.0")
    assert made["kept"]["rest"] >= 3
    out = tmp_path / "trained"
    settings = [f"model.path={tiny}", *small, "environment.tokens=tiny", "steps=2"]
    data = f"data.train=jsonl:{prepared / 'jsonl'}"
    assert main(["train", "laptop", *settings, data, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["steps"] == 2
    assert result["settings"]["data"]["train"].startswith("jsonl:")
    assert (out / result["checkpoint"] / "config.json").is_file()
