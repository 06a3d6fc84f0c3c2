"""``vt train``, from the recipe to the result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from experiments.cli import COMMANDS, main
from experiments.recipe import load_recipe

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.skipif("train" not in COMMANDS, reason="the command is not listed")


@pytest.fixture
def vt(tiny: Path, small: tuple[str, ...], tmp_path: Path, capsys):
    """Run ``vt train`` on a small recipe; gives exit code, stdout and stderr."""

    def run(*arguments: str, recipe: str = "laptop", out: Path = tmp_path / "run"):
        settings = [f"model.path={tiny}", *small, "steps=3"] if recipe == "laptop" else []
        code = main(["train", recipe, *settings, "--out", str(out), *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    run.out = tmp_path / "run"
    return run


def test_a_run_and_what_it_leaves(vt):
    code, out, err = vt()
    assert code == 0, err
    assert "validation: accuracy" in out
    assert "step 3: accuracy" in err
    result = json.loads((vt.out / "result.json").read_text())
    assert result["steps"] == 3
    assert result["settings"]["rollout"]["group_size"] == 4
    assert result["evaluation"]["n"] == 8
    assert (vt.out / result["checkpoint"] / "config.json").is_file()
    assert result["provenance"]["data"] == result["fingerprints"]["train"]
    assert len((vt.out / "metrics.jsonl").read_text().splitlines()) == 3
    assert load_recipe(vt.out / "recipe.toml").steps == 3


def test_resume_goes_on_and_overwrite_begins_anew(vt):
    vt()
    code, _, err = vt()
    assert code == 2
    assert "--overwrite" in err
    code, out, _ = vt("--resume", recipe=str(vt.out / "recipe.toml"))
    assert (code, "3 steps" in out) == (0, True)
    assert load_recipe(vt.out / "recipe.toml").steps == 3
    code, out, err = vt("--overwrite")
    assert (code, "3 steps" in out) == (0, True), err
    assert len((vt.out / "metrics.jsonl").read_text().splitlines()) == 3


def test_resume_without_a_recipe_takes_the_run_s_own(vt, capsys):
    vt()
    assert main(["train", "--resume", "--out", str(vt.out), "steps=4"]) == 0
    assert main(["train", "steps=5", "--resume", "--out", str(vt.out)]) == 0
    assert load_recipe(vt.out / "recipe.toml").steps == 5
    assert len((vt.out / "metrics.jsonl").read_text().splitlines()) == 5
    capsys.readouterr()
    for arguments, message in (([], "name a recipe"), (["--resume"], "nothing to resume")):
        assert main(["train", *arguments, "--out", str(vt.out / "new")]) == 2
        assert message in capsys.readouterr().err


def test_a_run_killed_before_its_first_checkpoint_begins_anew(vt):
    vt()
    shutil.rmtree(vt.out / "checkpoint")
    code, _, err = vt("--resume")
    assert code == 0, err
    assert len((vt.out / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_refused_resume_changes_nothing(vt):
    vt()
    before = {p: p.read_bytes() for p in vt.out.rglob("*") if p.is_file()}
    code = main(["train", str(vt.out / "recipe.toml"), "seed=9", "--out", str(vt.out), "--resume"])
    assert code == 2
    assert {p: p.read_bytes() for p in vt.out.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stepz=3",), "Did you mean 'steps'"),
        (("trainer=locl",), "Did you mean 'local'"),
        (("algorithm.name=grop",), "Did you mean 'grpo'"),
        (("algorithm.options.kl_cof=1",), "Did you mean 'kl_coef'"),
        (("model.path=./nowhere",), "there is no folder ./nowhere"),
        (("data.train=nothing:x",), "Unknown"),
        (("--resume",), "nothing to resume"),
    ],
)
def test_mistakes_are_one_line(vt, arguments, message):
    code, _, err = vt(*arguments)
    assert code == 2
    last = err.strip().splitlines()
    assert len(last) == 1
    assert message in last[0]
    assert not (vt.out / "metrics.jsonl").exists() or not (vt.out / "metrics.jsonl").read_text()
