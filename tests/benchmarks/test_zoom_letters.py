"""Letters that answers choose: as published, as fixed, and the bias for one of them."""

import numpy as np
import pytest
from zoom_tables import row

from experiments.benchmarks import BENCHMARKS, zoom_summaries
from experiments.benchmarks.suite import SUITES, suite_parts
from experiments.benchmarks.zoom_summaries import chosen_letters, letters
from experiments.evaluation.result import summarised
from experiments.report.reading import Notes, read_suites
from vt_env.judges import Query, make_judge


def judged(name, answer, reference="B", choices=("red", "blue")):
    query = Query("Which?", (reference,), answer, "mcq", choices)
    return BENCHMARKS.make(name).judge("official").score([query])[0].correct


@pytest.mark.parametrize(
    ("name", "answer", "right"),
    [
        ("vstar", "B", True),
        ("vstar", "Blue", True),  # as published: it begins with the letter
        ("vstar", "A dog, so the answer is B", False),
        ("vstar", "It is (b)", True),
        ("hrbench-4k", "It is blue.", True),
        ("hrbench-4k", "Red or blue", False),
        ("hrbench-4k", "(B)", True),
        ("hrbench-4k", "A B", False),
        ("mme-realworld", "The best answer is B.", True),
        ("mme-realworld", "b", True),
        ("treebench", "the answer is b", False),  # as published: THE has an E
        ("treebench", "b", True),
    ],
)
def test_official_letters(name, answer, right):
    assert judged(name, answer) is right


def test_an_empty_answer_chooses_a_as_published():
    assert judged("mme-realworld", "", "A") is True


def test_letters_tell_a_bias():
    options = {"choices": ["red", "blue", "grey"]}
    judge = make_judge("mcq")
    always_a = [row(right == "A", right, "(A)", **options) for right in "ABCABC"]
    found = letters(always_a, judge)
    assert found["letter_bias"] == pytest.approx(2 / 3)
    assert (found["chosen/A"], found["right/A"], found["accuracy/B"]) == (1, 1 / 3, 0)
    fair = [row(True, right, right, **options) for right in "ABC"] + [
        row(False, "A", "", **options)
    ]
    assert letters(fair, judge)["letter_bias"] == 0
    assert letters(fair, judge)["chosen/none"] == 0.25
    assert letters([row(True)], judge) == {}


COLOURS = ["red", "blue", "grey", "green"]


@pytest.mark.parametrize(
    "said", ["A", "**A**", "a", "(a)", "\\boxed{A}", "A: red", "A) red", "The answer is a.", "red"]
)
def test_letters_of_wrong_answers_are_read_as_those_of_right_ones(said):
    """Only right answers were read by the judge, so that an agent that always says A had none."""
    judge = BENCHMARKS.make("vstar").judge()
    rows = []
    for right in "ABCD" * 5:
        (verdict,) = judge.score([Query("Which?", (right,), said, "mcq", tuple(COLOURS))])
        rows.append(row(verdict.correct, right, said, choices=COLOURS, question="Which?"))
    found = letters(rows, judge)
    assert (found["letter_bias"], found["chosen/none"]) == (0.75, 0)
    assert found["letter_bias/low"] > found["letter_bias/chance"]


def test_an_answer_that_names_two_letters_chooses_none():
    judge = BENCHMARKS.make("vstar").judge()
    made = [row(False, "C", said, choices=COLOURS) for said in ("A or B", "neither", "B")]
    assert chosen_letters(made, judge) == ["", "", "B"]


def guessed(k, questions=100):
    """Letters drawn without any preference."""
    rng = np.random.default_rng(1)
    return [
        row(said == right, right, said, choices=COLOURS, id=f"{q}~{number}",
            repeat={"of": str(q), "number": number}, metadata={"option_seed": 7})
        for q in range(questions)
        for right in [rng.choice(list("ABCD"))]
        for number in range(k)
        for said in [rng.choice(list("ABCD"))]
    ]  # fmt: skip


def test_letters_of_all_repetitions_are_told_together():
    """As a mean over repetitions the bias of a fair guesser stayed what it is by chance in one."""
    part = suite_parts("zoom", ["o3bench"])[0]
    made = {k: summarised_metrics(guessed(k), part.metrics) for k in (1, 8)}
    assert made[8]["letter_bias"] < made[1]["letter_bias"]
    for k in (1, 8):
        assert made[k]["letter_bias"] < 2 * made[k]["letter_bias/chance"]
        assert made[k]["option_seed"] == 7
        assert made[k]["accuracy"] == pytest.approx(0.25, abs=0.1)


def summarised_metrics(rows, metrics):
    whole = [
        {"id": "", "source": "s", "requested": False, "well_formed": True, "futile_request": False,
         "visual_tokens": 1, "full_tokens": 1, **one}
        for one in rows
    ]  # fmt: skip
    return summarised(whole, [], 0, metrics)["metrics"]


def test_no_more_answers_are_read_than_the_bound(monkeypatch):
    monkeypatch.setattr(zoom_summaries, "MOST_READ", 50)
    rows = [{**one, "question": f"Which, {at // 2}?"} for at, one in enumerate(guessed(2))]
    found = letters(rows, make_judge("mcq"))
    assert 50 <= found["letters_read"] < 100
    assert letters(guessed(8), make_judge("mcq"))["letters_read"] == 800  # four different ones
    assert sum(found[f"chosen/{letter}"] for letter in "ABCD") == pytest.approx(1)


def test_rows_are_held_with_no_more_than_numbers_read():
    for name, benchmark in ((one, BENCHMARKS.make(one)) for one in SUITES["zoom"]):
        assert ("turns" in benchmark.reads) == (name == "treebench")


LETTERED = {"none": 0, "option_seed": 0, "letter_bias": None, "chosen": {"A": 1}, "right": {"A": 1}}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [({}, 1), ({"chosen": ["A"]}, 0), ({"right": {"A": "x"}}, 0), ({"letter_bias": "x"}, 0),
     ({"none": None}, 0), ({"interval_95": [0, "x"]}, 0), ({"chance": "x"}, 0),
     ({"letter_bias": 0.5, "interval_95": [0.1, 0.9], "chance": 0.2}, 1)],
)  # fmt: skip
def test_a_report_leaves_out_letters_that_are_none(changes, kept):
    line = {"benchmark": "vstar", "mode": "", "n": 1, "unscored": 0, "refused": 0}
    told = {"agents": {"a": [{**line, "letters": {**LETTERED, **changes}}]}}
    assert len(read_suites(told, Notes())) == kept
