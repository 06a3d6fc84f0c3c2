"""A study is many runs of ``vt train``, each done once."""

import sys
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.recipe import FOLDER as RECIPES
from experiments.study import FOLDER, Run, carry_out, load_study, outcomes, runs
from vt_env import ConfigError, DataError

SMALL = """
recipe = "laptop"
seeds = [3]
across = "algorithm.options.kl_coef"
values = [0.0, 0.05]
warmup = {reading = 0, steps = 1, vision_steps = 1}
needless = ["colour", "shape", "corner", "big_number"]

[targets.at_least]
accuracy = 0.97
"request_rate/texture" = 0.95

[settings]
"trainer" = "local"
steps = 2
"rollout.prompts" = 2
"data.train" = "generated:n=40,split=train,kinds=laptop"
"data.validation" = "generated:n=60,split=test,kinds=laptop"
"evaluation.limit" = 60
"checkpoint.every" = 0
"tracking.wandb" = "off"

[arms.none]
"reward.penalty" = "none"

[arms."rate, no probes"]
"rollout.probes" = 0
"""


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_studies_are_well_formed(path: Path, tmp_path: Path) -> None:
    every = runs(load_study(path.stem), tmp_path)
    assert len({run.folder for run in every}) == len(every)


def test_an_arm_that_cannot_be_trained_is_refused_first(tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(SMALL + '[arms.turns]\n"algorithm.name" = "dtpo"\n', "utf-8")
    with pytest.raises(ConfigError, match="dtpo normalises its loss by turn"):
        load_study(file)


def test_runs_are_done_once_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "small.toml", tmp_path / "out"
    file.write_text(SMALL, "utf-8")
    assert main(["study", str(file), "--out", str(out), "--jobs", "1"]) == 0
    shown = capsys.readouterr()
    assert "0 of 4 runs are done" in shown.err
    assert "FAILED" not in shown.err
    study = load_study(file)
    rows = outcomes(study, out)
    assert [(row["arm"], row["value"]) for row in rows] == [
        ("none", 0.0), ("none", 0.05), ("rate, no probes", 0.0), ("rate, no probes", 0.05),
    ]  # fmt: skip
    assert all(row["missed"] for row in rows)  # two steps teach nothing
    for name in ("requests.png", "requests.svg", "rewards.png", "table.md", "result.json"):
        assert (out / name).stat().st_size > 0
    assert (out / "table.md").read_text("utf-8").count("0 of 1") == 4
    before = [(run.folder / "metrics.jsonl").stat().st_mtime_ns for run in runs(study, out)]
    assert main(["study", str(file), "--out", str(out)]) == 0
    assert "4 of 4 runs are done" in capsys.readouterr().err
    assert before == [(r.folder / "metrics.jsonl").stat().st_mtime_ns for r in runs(study, out)]


@pytest.mark.slow
def test_an_arm_may_have_a_python_of_its_own(tmp_path: Path) -> None:
    file, out = tmp_path / "small.toml", tmp_path / "out"
    python = f'[python]\nnone = "env FROM=elsewhere {sys.executable}"\n'
    file.write_text(SMALL.replace("values = [0.0, 0.05]", "values = [0.0]") + python, "utf-8")
    assert main(["study", str(file), "--out", str(out), "--jobs", "1"]) == 0
    assert len(outcomes(load_study(file), out)) == 2
    file.write_text(f'{SMALL}[python]\nnone = "./no-such-python"\n', "utf-8")
    with pytest.raises(ConfigError, match="no-such-python; make its environment first"):
        list(carry_out(load_study(file), tmp_path / "other", 1))


@pytest.mark.slow
def test_a_run_that_fails_is_told_and_the_others_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "small.toml", tmp_path / "out"
    text = SMALL.replace("values = [0.0, 0.05]", "values = [0.0]")
    few = '"rollout.probes" = 0\n"data.train" = "generated:n=1,split=train,kinds=laptop"'
    file.write_text(text.replace('"rollout.probes" = 0', few), "utf-8")
    assert main(["study", str(file), "--out", str(out), "--jobs", "1"]) == 2
    assert "1 of 2 runs failed" in capsys.readouterr().err
    assert "| none | 0 | 0 of 1 |" in (out / "table.md").read_text("utf-8")
    log = (out / "rate, no probes" / "0" / "seed-3.log").read_text("utf-8")
    assert "has only 1 samples" in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe = ", "no valid TOML"),
        ('recipe = "laptop"\nseeds = [1]', "arms is missing"),
        ('recipe = "laptop"\nseeds = [1]\nvalues = [1.0]\n[arms.a]', "go together"),
        ('recipe = "laptop"\nseed = [1]\n[arms.a]', "seeds"),
        ('recipe = "laptop"\nseeds = [1]\n[arms.a]\n[python]\nb = "x"', "Did you mean|arm"),
        ('recipe = "laptop"\nseeds = [1]\n[arms.a]\n[python]\na = ""', "must be a command"),
        (
            'recipe = "laptop"\nseeds = [1]\n[arms.a]\n[targets.at_most]\na = "x"',
            "must be a number",
        ),
        ('recipe = "laptop"\nseeds = [1]\narms = {a = 5}', "arms must be tables"),
        ('recipe = "laptop"\nseeds = [1]\n[arms."../a"]', "named as a folder can be"),
        ('recipe = "laptop"\nseeds = [1]\n[arms.warmup]', "and not 'warmup'"),
        ('recipe = "laptop"\nseeds = [1, 1]\n[arms.a]', "two runs would have the folder a/seed-1"),
        (
            'recipe = "laptop"\nseeds = [1]\nacross = "optimiser.learning_rate"\n'
            "values = [1.0000001, 1.0]\n[arms.a]",
            "two runs would have the folder a/1/seed-1",
        ),
        ('recipe = "laptop"\nseeds = [1]\n[arms.a]\nstpes = 1', "Did you mean 'steps'"),
        ('recipe = "laptop"\nseeds = [1]\n[arms.a]\nsteps = 2020-01-01', "a whole number"),
        ('recipe = "none.toml"\nseeds = [1]\n[arms.a]', "compared on data.validation"),
    ],
)
def test_wrong_studies_are_refused(
    tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = (RECIPES / "laptop.toml").read_text("utf-8")
    Path("none.toml").write_text(whole.replace("\nvalidation = ", "\n# "), "utf-8")
    file = tmp_path / "wrong.toml"
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        load_study(file)
    with pytest.raises(ConfigError, match="study"):
        load_study("no-such-study")


def test_a_damaged_result_of_a_run_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"evaluation": ', "utf-8")
    run = Run("a", None, 1, (), tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*result\.json"):
        run.result  # noqa: B018
