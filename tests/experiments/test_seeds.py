"""Results of several seeds in one table."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import main
from experiments.policies import NAMES
from experiments.targets import AT_LEAST, AT_MOST


def written(folder: Path, seed: int, accuracy: float, missed: list[str]) -> str:
    kinds = {kind: {"request_rate": 0.0} for kind in AT_MOST}
    kinds |= {kind: {"request_rate": accuracy} for kind in AT_LEAST}
    result: dict[str, Any] = {"accuracy": accuracy, "token_ratio": 0.675, "by_kind": kinds}
    content = {
        "policies": dict.fromkeys(NAMES, result),
        "sampled": result,
        "missed": missed,
        "provenance": {"seed": seed},
    }
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(content), "utf-8")
    return str(folder)


def test_medians_and_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [
        written(tmp_path / "b", 2, 0.9, ["accuracy 0.900 < 0.97"]),
        written(tmp_path / "a", 1, 0.98, []),
        written(tmp_path / "c", 3, 1.0, []),
    ]
    assert main(["seeds", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")] == [
        "seed", "1", "2", "3", "median", "worst",
    ]  # fmt: skip
    assert "| median | 0.980 |" in lines[5]
    assert "| worst | 0.900 |" in lines[6]
    assert "2 of 3 reached all targets." in lines
    assert lines[-1] == "Seed 2 missed: accuracy 0.900 < 0.97."


def test_a_folder_without_a_result_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["seeds", str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "result.json").write_text("{}", "utf-8")
    assert main(["seeds", str(tmp_path)]) == 2
    assert "no result of vt demo" in capsys.readouterr().err
