"""Targets are bounds in a data file; the demo says what it missed, and leaves with status 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.cli import main
from experiments.commands.demo import FOLDER, Plan
from experiments.evaluation.modes import parse_modes
from experiments.recipe import load_recipe
from experiments.targets import Targets, numbers_of
from vt_env import ConfigError, open_source

BOUNDS = Targets({"ours accuracy": 0.97, "ours accuracy over low": 0.2}, {"ours asks/colour": 0.05})


def result(accuracy: float | None, **requests: float) -> dict[str, Any]:
    by_kind = {kind: {"request_rate": rate} for kind, rate in requests.items()}
    return {"accuracy": accuracy, "token_ratio": 0.7, "request_rate": 0.4, "by_kind": by_kind}


def missed(low: float | None = 0.7, **ours: Any) -> list[str]:
    policies = {"ours": result(**{"accuracy": 0.98, "colour": 0.0, **ours}), "low": result(low)}
    return BOUNDS.missed(numbers_of(policies))


def test_what_is_reached_is_not_missed() -> None:
    assert missed() == []
    assert missed(accuracy=0.97) == []


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"accuracy": 0.96}, "ours accuracy 0.960, less than 0.97"),
        ({"low": 0.9}, "ours accuracy over low 0.080, less than 0.2"),
        ({"low": None}, "ours accuracy over low is not known"),
        ({"colour": 0.06}, "ours asks/colour 0.060, more than 0.05"),
    ],
)
def test_each_bound_is_held(changed: dict[str, Any], says: str) -> None:
    assert missed(**changed) == [says]


def test_a_bound_is_a_number() -> None:
    with pytest.raises(ConfigError, match="the target of 'accuracy' must be a number, got True"):
        Targets({"accuracy": True})


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_plans_have_targets_of_what_they_compare(path: Path) -> None:
    plan = Plan.load(path.stem)
    policies: list[str] = []
    for task in plan.tasks.values():
        load_recipe(task.recipe)
        modes = [mode.name for mode in parse_modes(task.modes)]
        assert set(task.names) <= set(modes)
        policies += [task.names.get(mode, mode) for mode in modes]
    assert len(set(policies)) == len(policies), "each has a name of its own"
    kinds = {sample.kind for sample in open_source(plan.test.format(n=200, seed=0))}
    one = {**result(0.9), "by_kind": {kind: {"request_rate": 0.5} for kind in kinds}}
    assert set(plan.targets.names) <= numbers_of(dict.fromkeys(policies, one)).keys()


def test_a_demo_that_misses_its_targets_says_so(tmp_path: Path, capsys) -> None:
    pytest.importorskip("transformers")
    out = tmp_path / "demo"
    words = ["demo", "--plan", "laptop", "--out", str(out), "--warmup-steps", "1",
             "--samples", "40", "steps=1", "rollout.prompts=2", "rollout.group_size=2",
             "rollout.probes=0"]  # fmt: skip
    words += ["data.train=generated:n=8,split=train,kinds=laptop", "evaluation.every=0",
              "data.validation=generated:n=8,split=validation,kinds=laptop",
              "optimiser.minibatches=1", "optimiser.warmup_steps=0",
              "tracking.wandb=off"]  # fmt: skip
    assert main(words) == 1
    shown = capsys.readouterr().out
    assert "missed:" in shown
    assert "try another --seed" in shown
    found = json.loads((out / "result.json").read_text())
    assert any(line.startswith("full accuracy") for line in found["missed"])
    assert next(iter(found["policies"])) == "visionthink"
    assert found["policies"]["oracle"]["request_rate"] is not None
    page = (out / "report.html").read_text("utf-8")
    assert "Targets were missed:" in page
    assert len(page) < 3_000_000
    before = (out / "policies" / "request" / "low" / "episodes.jsonl").read_bytes()
    assert main(["demo", "--resume", "--out", str(out)]) == 1  # nothing is done again
    assert (out / "policies" / "request" / "low" / "episodes.jsonl").read_bytes() == before


PLAN = """
title = "t"
lead = "l"
advice = "a"
test = "generated:n={n},kinds=laptop,seed={seed}"
warmup = true
[tasks.one]
recipe = "laptop"
modes = ["low", "full"]
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (PLAN.replace("{seed}", "{sed}"), "test must be a source with {n} in it"),
        (PLAN.replace("{n}", "5"), "test must be a source with {n} in it"),
        (PLAN.replace("{n}", "{"), "test must be a source with {n} in it"),
        (PLAN.replace("[tasks.one]", '[tasks."../one"]'), "letters, digits, - and _ alone"),
        (f"{PLAN}[tasks]\none = 5", "no valid TOML"),
        (PLAN.replace("[tasks.one]", "tasks = {one = 5}\n[targets]"), "there is no setting"),
        ("tasks = {one = 5}\n" + PLAN.partition("[tasks")[0], "tasks must be tables"),
        (f'{PLAN}names = {{low = "full"}}', "two policies are named 'full'"),
        (f"{PLAN}names = {{low = 5}}", "the name of low must be text, got 5"),
        (f'{PLAN}names = {{lw = "x"}}', "Did you mean 'low'?"),
        (f'{PLAN}[targets.at_least]\n"low acuracy" = 1', "did you mean 'low accuracy'?"),
        (f"{PLAN}modes = 1", "no valid TOML"),
        (PLAN.replace('"full"', '"ful"'), "Did you mean 'full'?"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_first(
    text: str, says: str, tmp_path: Path, capsys
) -> None:
    pytest.importorskip("transformers")
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(text, "utf-8")
    assert main(["demo", "--plan", str(plan), "--samples", "40", "--out", str(out)]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.train=nothing:x"], "Unknown source 'nothing'"),
        (["--warmup-steps", "3"], "the plan pages has no warm-up"),
    ],
)
def test_wrong_words_cost_no_warm_up(words: list[str], says: str, tmp_path: Path, capsys) -> None:
    pytest.importorskip("transformers")
    assert main(["demo", *words, "--out", str(tmp_path / "out")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
