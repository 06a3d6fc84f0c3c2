"""The numbers of each benchmark from hand-made rows, and who judges."""

import pytest

from agents.judging import Completion, Judging, Local, ModelJudge
from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.judging import unboxed
from vt_env.errors import ConfigError, DataError
from vt_env.judges import Query


def row(correct, kind="k", answer="x", reference="x", score=None, **metadata):
    score = score if score is not None or correct is None else float(correct)
    return {
        "answer": answer,
        "correct": correct,
        "score": score,
        "kind": kind,
        "question": "Is it?",
        "references": [reference],
        "metadata": metadata,
    }


def summary(name, *rows, variant="fixed"):
    return BENCHMARKS.make(name).summary(list(rows), variant)


@pytest.mark.parametrize("name", BENCHMARKS.names())
@pytest.mark.parametrize("variant", ["fixed", "official", "rules"])
def test_nothing_scored_gives_counts_only(name, variant):
    assert summary(name, variant=variant) == {"n": 0, "unscored": 0, "coverage": 0}
    made = summary(name, row(None), variant=variant)
    assert made == {"n": 1, "unscored": 1, "coverage": 1 / BENCHMARKS.make(name).size}


def test_chartqa_by_who_asked():
    made = summary(
        "chartqa",
        row(True, "human_test"),
        row(False, "human_test"),
        row(True, "augmented_test"),
        row(None, "human_test"),
    )
    assert made["relaxed_human_split"] == 0.5
    assert made["relaxed_augmented_split"] == 1
    assert made["score"] == pytest.approx(200 / 3)
    assert (made["n"], made["unscored"]) == (4, 1)


def test_ocrbench_counts_points():
    rows = [
        row(True, "Digit String Recognition"),
        row(True, "Doc-oriented VQA"),
        row(False, "Doc-oriented VQA"),
    ]
    official = summary("ocrbench", *rows, variant="official")
    assert official["ocrbench_accuracy"] == 0.002
    assert official["points/Text Recognition"] == 1
    assert official["points/Doc-oriented VQA"] == 1
    assert summary("ocrbench", *rows)["ocrbench_accuracy"] == pytest.approx(2 / 3)


def test_docvqa_averages_grades():
    made = summary("docvqa", row(True, "form", score=0.8), row(False, "table", score=0.0))
    assert (made["anls"], made["kind/form"], made["score"]) == (0.4, 0.8, 40)


def test_mme_scores_pairs():
    def question(correct, kind, number):
        return row(correct, kind, question_id=str(number))

    rows = [
        question(True, "count", 1),
        question(True, "count", 1),
        question(True, "count", 2),
        question(False, "count", 2),
        question(False, "code_reasoning", 3),
        question(True, "code_reasoning", 3),
        question(True, "count", 4),
        question(None, "count", 5),
        question(True, "count", 5),
    ]
    made = summary("mme", *rows)
    assert made["category/count"] == (200 + 50) / 2
    assert (made["mme_perception_score"], made["mme_cognition_score"]) == (125, 50)
    assert (made["score"], made["unpaired"], made["unscored"]) == (175, 2, 1)


def test_pope_variants():
    rows = [
        row(True, "popular", "yes", "yes"),
        row(False, "popular", "Yes.", "no"),
        row(False, "random", "perhaps", "yes"),
        row(True, "random", "no", "no"),
    ]
    fixed = summary("pope", *rows)
    assert fixed["pope_precision"] == 0.5
    assert fixed["pope_recall"] == 0.5
    assert fixed["pope_yes_ratio"] == 0.5
    assert fixed["random/pope_recall"] == 0
    official = summary("pope", *rows, variant="official")
    assert (official["pope_precision"], official["pope_recall"]) == (1, 1)
    assert official["popular/pope_accuracy"] == 0.5


def test_pope_without_any_yes():
    made = summary("pope", row(True, answer="no", reference="no"))
    assert (made["pope_accuracy"], made["pope_f1_score"], made["score"]) == (1, 0, 0)


def test_mmvet_by_capability():
    made = summary(
        "mmvet",
        row(True, score=0.9, capability="ocr,math"),
        row(False, score=0.1, capability="rec"),
    )
    assert made["score"] == pytest.approx(50)
    assert made["capability/ocr"] == pytest.approx(90)
    assert made["integration/math_ocr"] == pytest.approx(90)


def test_maths_by_group():
    made = summary(
        "mathvista", row(True, task="geometry", skills=["algebra"]), row(False, task="geometry")
    )
    assert (made["accuracy"], made["task/geometry"], made["skill/algebra"]) == (50, 50, 100)
    made = summary(
        "mathverse",
        row(True, problem_version="Text Lite"),
        row(False, problem_version="Vision Only"),
    )
    assert (made["score"], made["problem_version/Text Lite"]) == (50, 1)


def test_mmmu_by_subject_and_domain():
    made = summary(
        "mmmu", row(True, subject="Art"), row(False, subject="Music"), row(True, subject="Math")
    )
    assert made["mmmu_acc"] == 0.66667
    assert made["domain/Art and Design"] == 0.5
    assert made["subject/Math"] == 1


def test_mmbench_wants_every_copy_right():
    def copy(correct, index, options=2):
        return row(correct, index=index, options=options, category="ocr", l2_category="perception")

    rows = [
        copy(True, 1),
        copy(True, 1_000_001),
        copy(True, 2),
        copy(False, 1_000_002),
        copy(True, 3),
    ]
    official = summary("mmbench", *rows, variant="official")
    assert official["gpt_eval_score"] == pytest.approx(200 / 3)
    fixed = summary("mmbench", *rows)
    assert (fixed["score"], fixed["incomplete"], fixed["row_accuracy"]) == (50, 1, 0.8)
    assert fixed["category/ocr"] == 50
    assert summary("mmbench", copy(True, 1), copy(False, 2))["score"] == 50
    orphan = summary("mmbench", copy(True, 1_000_001))
    assert "score" not in orphan
    assert orphan["incomplete"] == 1


def test_rows_of_another_run_are_refused():
    with pytest.raises(DataError, match="a row of MME or its metadata lacks 'question_id'"):
        summary("mme", row(True))
    with pytest.raises(DataError, match="lacks metadata, score"):
        BENCHMARKS.make("mme").summary(
            [{"answer": "", "correct": True, "kind": "", "references": []}]
        )
    with pytest.raises(ConfigError, match="variant"):
        summary("mme", variant="best")


def model():
    local = Local("model", "model", lambda asks: [Completion("right") for _ in asks])
    return ModelJudge(local, Judging(canaries=0))


@pytest.mark.parametrize("name", ["mathvista", "mathverse", "mmvet"])
def test_a_metric_that_asks_a_model_says_so(name):
    benchmark = BENCHMARKS.make(name)
    for variant in ("official", "fixed"):
        with pytest.raises(ConfigError, match="asks a language model: name it"):
            benchmark.judge(variant)
        assert "model" in benchmark.judge(variant, model()).name
    (verdict,) = benchmark.judge("rules").score([Query("What?", ("dog",), "dog")])
    assert (verdict.correct, verdict.judge) == (True, "rules:auto")


def test_mathvista_asks_the_model_only_what_needs_reading():
    judge = BENCHMARKS.make("mathvista").judge("official", model())
    queries = [Query("How many?", ("14",), answer) for answer in ("14", "15", "about 15 cm", "")]
    verdicts = judge.score(queries)
    assert [v.correct for v in verdicts] == [True, False, True, False]
    assert {v.judge for v in verdicts} == {"mathvista:official, then model"}
    assert judge.usage.queries == 1
    judge.close()


def test_the_fixed_rules_read_the_bare_question():
    pope = BENCHMARKS.make("pope")
    asked = "Is there a dog in the image?" + pope.suffixes[""]
    query = Query(asked, ("no",), "There is no dog.")
    assert pope.judge("fixed").score([query])[0].correct is True
    assert pope.bare(asked) == "Is there a dog in the image?"


@pytest.mark.parametrize(
    ("answer", "inner"),
    [
        ("\\boxed{B}", "B"),
        ("$\\boxed{ 12 }$", " 12 "),
        ("so \\boxed{B}", "so \\boxed{B}"),
        ("B", "B"),
    ],
)
def test_boxes_around_a_whole_answer_are_opened(answer, inner):
    assert unboxed(answer) == inner
    judge = BENCHMARKS.make("mmmu").judge("official")
    choice = Query("Which?", ("B",), "\\boxed{B}", "mcq", ("a", "b"))
    assert judge.score([choice])[0].correct is True
