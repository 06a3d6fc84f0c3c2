"""Benchmarks of one suite that share ids and questions, and forms of one question."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from results import row, write

from experiments.evaluation.result import slim
from experiments.report.gallery import Gallery, choose
from experiments.report.pictures import Drawn
from experiments.report.reading import read_results
from experiments.summary import difference, measure, numbered, wilson

HARD = {"hrbench-4k": 5, "hrbench-8k": 15}
"""How many of 20 questions nobody answers without a call."""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """One agent on two benchmarks whose rows have the same ids and questions, in two modes."""
    lines = []
    for name, hard in HARD.items():
        for mode in ("visionthink", "no-tool"):
            rows = [
                row(id=str(i), source=name, question=f"What number {i}?", score=1.0,
                    requested=mode == "visionthink", correct=mode == "visionthink" or i >= hard)
                for i in range(20)
            ]  # fmt: skip
            folder = tmp_path / name / mode
            write(folder, rows, agent="a", mode=mode, data=f"benchmark:{name}")
            lines.append({"benchmark": name, "mode": mode, "n": 20, "unscored": 0, "refused": 0})
    (tmp_path / "suite.json").write_text(json.dumps({"agents": {"a": lines}}))
    return tmp_path


def test_a_gallery_keeps_samples_of_benchmarks_apart(suite: Path) -> None:
    found = read_results([suite])
    shown = choose(found.policies, 2000, found.notes)
    played = next(one for one in shown if one.policy.mode == "visionthink")
    for told, marks in played.kept:
        assert marks.helped is (int(told["id"]) < HARD[told["source"]])
    gallery = Gallery(shown)
    places = {gallery.place(played, at) for at in range(len(played.kept))}
    assert len(places) == 40
    assert {gallery.sample(at, Drawn())["source"] for at in places} == {*HARD}


def test_policies_of_a_suite_that_goes_on_are_named_by_their_benchmarks(suite: Path) -> None:
    (suite / "suite.json").unlink()
    names = [policy.name for policy in read_results([suite]).policies]
    assert names == [f"a {mode}, {name}" for name in HARD for mode in ("no-tool", "visionthink")]


def test_a_suite_takes_no_questions_for_repeats(suite: Path) -> None:
    for policy in read_results([suite]).policies:
        numbers = policy.numbers
        assert numbers is not None
        assert "repeats" not in numbers
        right = sum(bool(one["correct"]) for one in policy.rows)
        assert numbers["interval_95"]["accuracy"] == pytest.approx(wilson(right, 40))


def forms(questions: int, right: np.ndarray, **more: object) -> list[dict]:
    return [
        row(id=str(4 * q + turn), form_of=f"q{q}", correct=bool(right[q]), **more)
        for q in range(questions)
        for turn in range(4)
    ]


def test_forms_of_a_question_are_no_evidence_by_themselves() -> None:
    """Four rotations that are all right or all wrong say no more than one of them."""
    right = np.random.default_rng(0).random(200) < 0.5
    found = measure(forms(200, right), 0)
    low, high = found["interval_95"]["accuracy"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 200), rel=0.1)
    assert "repeats" not in found  # they are other samples, not draws of one
    rows = forms(200, right)
    assert numbered([slim(one) for one in rows]).max() == 199
    other = np.array([one["correct"] for one in forms(200, ~right)], float)
    given = np.array([one["correct"] for one in rows], float)
    assert difference(given, other, numbered(rows), test=True)["p"] is None


def test_repeats_of_forms_are_of_a_sample_and_resampled_by_question() -> None:
    right = np.random.default_rng(0).random(100) < 0.5
    rows = [
        {**one, "id": f"{one['id']}~{k}", "repeat": {"of": one["id"], "number": k}}
        for one in forms(100, right)
        for k in range(2)
    ]
    again = measure(rows, 0)["repeats"]
    assert (again["k"], again["questions"]) == (2, 400)
    low, high = again["avg_at_k"]["interval_95"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.25 / 100), rel=0.15)
