"""The benchmarks of the judges: what they print, and when they leave with status 1."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, BENCHMARKS / script, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("judge", "status"), [("anls:official", 1), ("exact", 0)])
def test_one_wrong_acceptance_fails_the_fuzz(tmp_path, judge, status):
    out = tmp_path / "fuzz.json"
    done = run("judge_fuzz.py", "--n", 100, "--processes", 1, "--judge", judge, "--out", out)
    assert done.returncode == status
    assert ("ACCEPTED" in done.stdout) is bool(status)
    told = json.loads(out.read_text())
    assert told["pairs"] == 100
    assert (told["bounds"][0]["measured"] > 0) is bool(status)


ROW = {"question": "How many dogs?", "references": ["5"], "kind": "number", "language": "en"}


@pytest.mark.parametrize(
    ("right", "status", "cells"), [("five", 0, "100, 0 | 0, 0"), ("a handful", 1, "0, 0 | 0, 0")]
)
def test_the_table_holds_auto_to_its_aims(tmp_path, right, status, cells):
    pytest.importorskip("math_verify")
    rows = [{**ROW, "prediction": right, "label": True}, {**ROW, "prediction": "6", "label": False}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    done = run("judge_table.py", file, "--markdown", "--out", tmp_path / "table.json")
    assert done.returncode == status
    assert f"| en | 1, 1 | {cells}" in done.stdout
    assert "at most" not in done.stdout
    assert "wrong answers that auto accepts" in done.stderr
