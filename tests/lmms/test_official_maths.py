"""Our official MathVista and MathVerse beside lmms-eval's own code: ``make test-lmms``."""

import pytest

pytest.importorskip("lmms_eval", reason="needs an environment of its own: make test-lmms")

from cases import NUMBERS, mixture
from lmms_eval.tasks.mathverse import utils as mathverse
from lmms_eval.tasks.mathvista import utils as mathvista
from official import OPTIONS, N, official, option_answers, row, vista

from experiments.benchmarks import BENCHMARKS
from vt_env.judges import Query, make_judge


class Extracts:
    """A model that extracts what it was shown, and counts."""

    asked = 0

    def __call__(self, prompt, **_):
        self.asked += 1
        return prompt.rpartition("What?\n\n")[2].removesuffix("\n\nExtracted answer: ")


def test_mathvista(rng, monkeypatch):
    extract = Extracts()
    monkeypatch.setattr(mathvista.mathvista_evaluator, "get_chat_response", extract)
    hints = BENCHMARKS.make("mathvista").suffixes
    strict, rules = make_judge("mathvista:official"), make_judge("mathvista:rules")
    values = [v for v in NUMBERS if v.strip()]
    lists = ["[1, 2]", "[2007, 2008]", "1, 2"]
    for case in range(4 * N):
        form = ("choice", "integer", "float1", "float2", "list")[case % 5]
        options = rng.choice(OPTIONS) if form == "choice" else ()
        pool = {"choice": options, "list": lists}.get(form, values)
        reference = rng.choice(pool)
        answer = (
            option_answers(rng, options)
            if options
            else rng.choice([*pool, reference, mixture(rng)])
        )
        kind = "multi_choice" if options else "free_form"
        answer_type = {"choice": "text", "float1": "float", "float2": "float"}.get(form, form)
        doc = vista(kind, answer_type, reference, options, int(form[-1]) if "float" in form else 0)
        before = extract.asked
        theirs = mathvista.mathvista_process_results(doc, [answer])["llm_as_judge_eval"][
            "true_false"
        ]
        query = Query(
            f"What?{hints[form]}",
            (reference,),
            answer,
            "list" if form == "list" else "",
            tuple(options),
        )
        (decided,) = strict.score([query])
        if decided.correct is not None:
            assert decided.correct is theirs, (doc, answer)
        else:
            assert extract.asked > before, (doc, answer)  # only where lmms-eval asks a model too
        (guessed,) = rules.score([query])
        assert guessed.correct is theirs, (doc, answer)


def test_mathvista_decimals_from_the_hub_are_all_wrong_in_lmms_eval():
    """The Hub's precision is a float64, with which Python's round does not round: a deviation."""
    doc = vista("free_form", "float", "1.4", precision=1.0)
    theirs = mathvista.mathvista_process_results(doc, ["1.4"])["llm_as_judge_eval"]
    assert theirs["prediction"] is None
    assert theirs["true_false"] is False
    hint = BENCHMARKS.make("mathvista").suffixes["float1"]
    assert official("mathvista", "1.4", "1.4", question=f"What?{hint}").correct is True


def test_mathvista_summary(rng):
    rows, results = [], []
    for number in range(N):
        correct, task = rng.random() < 0.5, rng.choice(["FQA", "GPS"])
        known = {
            "task": task,
            "split": "testmini",
            "language": "english",
            "source": "s",
            "category": "c",
            "context": "chart",
            "grade": "daily",
            "skills": rng.sample(["algebra", "geometry"], rng.randint(1, 2)),
        }
        rows.append(row(correct, question_type="free_form", answer_type="float", **known))
        results.append(
            {
                "question_id": str(number),
                "true_false": correct,
                "question_type": "free_form",
                "answer_type": "float",
                "metadata": dict(known),
            }
        )
    theirs = mathvista.mathvista_aggregate_results(results, None)
    assert BENCHMARKS.make("mathvista").summary(rows, "official")["accuracy"] == theirs


def test_mathverse_summary(rng):
    verdicts = [rng.random() < 0.4 for _ in range(N)]
    theirs = mathverse.mathverse_aggregate_results_eval([int(v) for v in verdicts], None)
    summary = BENCHMARKS.make("mathverse").summary([row(v) for v in verdicts], "official")
    assert summary["gpt_eval_score"] == pytest.approx(theirs)
