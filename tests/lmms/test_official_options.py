"""Our official readings of options beside lmms-eval's own code: ``make test-lmms``."""

import pytest

pytest.importorskip("lmms_eval", reason="needs an environment of its own: make test-lmms")

from cases import NUMBERS, POOL, SENTENCES, WORDS
from lmms_eval.tasks._task_utils import mmmu_mcq_utils
from lmms_eval.tasks._task_utils.mcq_extract import extract_mcq_answer
from lmms_eval.tasks.mmbench import en_utils as mmbench
from lmms_eval.tasks.mmmu import utils as mmmu
from official import OPTIONS, N, official, option_answers, pairs, row

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.layouts import LETTERS as ABC
from experiments.benchmarks.letters import chosen


def test_mmbench(rng):
    results, rows = [], []
    for number in range(N):
        options = rng.choice(OPTIONS)
        for turn in range(rng.choice([1, len(options)])):
            index, gold = number + turn * 1_000_000, rng.choice(ABC[: len(options)])
            answer = option_answers(rng, options)
            if rng.random() < 0.6:
                answer = gold
            doc = {
                "index": index,
                "question": "Which?",
                "answer": gold,
                "hint": "nan",
                "source": "s",
                "split": "dev",
                "category": f"c{number % 5}",
                "L2-category": f"l{number % 3}",
                **dict(zip("ABCD", [*options, *["nan"] * 4], strict=False)),
            }
            results.append(mmbench.mmbench_process_results(doc, [answer])["gpt_eval_score"])
            ours = official("mmbench", gold, answer.strip(), choices=options)
            rows.append(
                row(
                    ours.correct,
                    answer,
                    index=index,
                    options=len(options),
                    category=doc["category"],
                    l2_category=doc["L2-category"],
                )
            )
            assert ours.correct is (static_choice(results[-1]) == gold), (gold, answer, options)
    overall, category, l2 = quiet_eval(results)
    summary = BENCHMARKS.make("mmbench").summary(rows, "official")
    assert summary["gpt_eval_score"] == pytest.approx(overall * 100)
    for name, value in category.items():
        assert summary[f"category/{name}"] == pytest.approx(value * 100)
    for name, value in l2.items():
        assert summary[f"l2_category/{name}"] == pytest.approx(value * 100)


def quiet_eval(results):
    """lmms-eval's static evaluation; it must not ask a model."""
    return mmbench.mmbench_evaluator.eval_result(results, eval_method="static")


def static_choice(item):
    """The letter that lmms-eval reads in one answer without a model."""
    evaluator = mmbench.mmbench_evaluator
    letters = sorted(evaluator.build_choices(item))
    return evaluator.prefetch_answer(item) or extract_mcq_answer(item["prediction"], letters)


class Guess(Exception):
    """lmms-eval wants to choose at random."""


def no_guess(choices):
    raise Guess(choices)


def test_mmmu_options(rng, monkeypatch):
    monkeypatch.setattr(mmmu_mcq_utils.random, "choice", no_guess)
    guesses = 0
    for _ in range(3 * N):
        options = rng.choice(OPTIONS)
        gold, answer = rng.choice(ABC[: len(options)]), option_answers(rng, options)
        doc = {
            "id": "validation_Art_1",
            "question_type": "multiple-choice",
            "answer": gold,
            "options": repr(options),
        }
        ours = official("mmmu", gold, answer, choices=options)
        try:
            result = mmmu.mmmu_process_results(doc, [answer])["mmmu_acc"]
        except Guess:
            guesses += 1
            assert (ours.correct, chosen(answer, options)) == (False, "")
        else:
            assert ours.score == mmmu.mmmu_aggregate_results([result]), (gold, answer, options)
    assert 0 < guesses < 2 * N


def test_mmmu_open(rng):
    results, rows = [], []
    subjects = [name for names in mmmu.DOMAIN_CAT2SUB_CAT.values() for name in names]
    references = WORDS + NUMBERS + ["x", "5", "the blue one", "$1,234.50"]
    for reference, answer in pairs(rng, references, POOL + SENTENCES):
        subject = rng.choice(subjects)
        doc = {"id": f"validation_{subject}_1", "question_type": "open", "answer": reference}
        theirs = mmmu.mmmu_process_results(doc, [answer])["mmmu_acc"]
        ours = official("mmmu", reference, answer)
        wanted = mmmu.eval_open(reference, theirs["parsed_pred"][0])
        assert ours.correct is wanted, (reference, answer)
        results.append(theirs)
        rows.append(row(ours.correct, answer, subject=subject))
    summary = BENCHMARKS.make("mmmu").summary(rows, "official")
    assert summary["mmmu_acc"] == mmmu.mmmu_aggregate_results(results)
