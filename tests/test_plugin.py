"""Another package adds one of everything, and ``vt`` uses it unchanged."""

import json
import os
import subprocess
import sys
from pathlib import Path

PLUGIN = Path(__file__).parent / "plugin"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process that finds the package by its metadata, as an installed one."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(PLUGIN)},
        capture_output=True,
        text=True,
        check=False,
    )


def vt(*arguments: str) -> None:
    done = python("-m", "experiments.cli", *arguments)
    assert done.returncode == 0, done.stderr


def test_source_judge_tool_and_agent(tmp_path: Path) -> None:
    vt("eval", "--data", "squares:n=3", "--agent", "curious", "--judge", "generous",
       "--tool", "mirror", "--out", str(tmp_path / "out"))  # fmt: skip
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["n"], result["accuracy"], result["request_rate"]) == (3, 1.0, 1.0)
    assert result["judge"] == "generous"


def test_trainer(tmp_path: Path) -> None:
    model = f"model.path={tmp_path}"
    vt("train", "laptop", "trainer=instant", model, "--out", str(tmp_path / "out"))
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["trainer"] == "instant"


def test_algorithm() -> None:
    done = python(
        "-c",
        "from trainers.algorithms import make_algorithm as make;"
        "assert make('contrarian').kl_coef == 0.5;"
        "assert make('contrarian', kl_coef=0.1).kl_coef == 0.1",
    )
    assert done.returncode == 0, done.stderr


def test_names_are_offered_where_one_is_misspelt(tmp_path: Path) -> None:
    done = python("-m", "experiments.cli", "eval", "--data", "squares", "--agent", "curios",
                  "--out", str(tmp_path / "out"))  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean 'curious'" in done.stderr
