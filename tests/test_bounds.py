"""A benchmark that misses its target leaves with status 1."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import bounds

    return bounds


@pytest.mark.parametrize(
    ("measured", "least", "met"),
    [
        (1.0, False, True),
        (1.1, False, False),
        (0.9, True, False),
        (1.0, True, True),
        (float("nan"), False, False),
        (float("nan"), True, False),
    ],
)
def test_a_miss_ends_with_status_1(bounds, tmp_path, capsys, measured, least, met):
    out = tmp_path / "new" / "found.json"
    good, tried = bounds.Bound("good", 0, 1), bounds.Bound("tried", measured, 1.0, least)
    if met:
        bounds.conclude([good, tried], out)
    else:
        with pytest.raises(SystemExit, match="missed: tried"):
            bounds.conclude([good, tried], out, {"seed": 3})
    assert ("MISSED" in capsys.readouterr().out) is not met
    assert [row["met"] for row in json.loads(out.read_text())["bounds"]] == [True, met]


def test_a_benchmark_without_a_target_cannot_conclude(bounds, tmp_path):
    with pytest.raises(ValueError, match="cannot fail"):
        bounds.conclude([], tmp_path / "found.json")


def test_the_quickest_round_of_each_side_counts_and_the_sides_take_turns(bounds):
    order, now = [], 0.0
    spent = {"a": [3.0, 1.0, 2.0], "b": [5.0, 7.0, 4.0]}

    def side(name):
        def run():
            nonlocal now
            order.append(name)
            now += spent[name].pop(0)

        return run

    assert bounds.quickest([side("a"), side("b")], 3, lambda: now) == [1.0, 4.0]
    assert order == ["a", "b", "b", "a", "a", "b"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_who_states_a_target_concludes_with_it(script):
    """So that no script prints that a target was missed and leaves with 0."""
    names = {
        node.func.id
        for node in ast.walk(ast.parse(script.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "Bound" not in names or "conclude" in names


def test_ci_fails_where_the_environment_is_too_slow(tmp_path):
    """The script as CI runs it, on one small picture, which it cannot win against bare Pillow."""
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "small.jpg")
    command = [sys.executable, FOLDER / "environment.py", "--images", tmp_path, "--repeat", "1"]
    out = tmp_path / "found.json"
    done = subprocess.run([*command, "--out", out], capture_output=True, text=True)
    assert done.returncode == 1
    assert "missed: an episode, over bare decode + LANCZOS" in done.stderr
    assert not all(bound["met"] for bound in json.loads(out.read_text())["bounds"])
