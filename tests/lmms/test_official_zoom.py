"""Our official zoom benchmarks beside lmms-eval's own code: ``make test-lmms``."""

import pytest

pytest.importorskip("lmms_eval", reason="needs an environment of its own: make test-lmms")

from cases import LETTERS, mixture
from lmms_eval.tasks.hrbench import utils as hrbench
from lmms_eval.tasks.mme_realworld import utils as realworld
from lmms_eval.tasks.vstar_bench import utils as vstar
from official import OPTIONS, N, official, option_answers, row

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.layouts import LETTERS as ABC
from experiments.benchmarks.layouts import Cells
from experiments.benchmarks.zoom_letters import hrbench_letter, realworld_letter
from vt_env.judges import Query


def ask(name, doc):
    """The question as we put it."""
    benchmark = BENCHMARKS.make(name)
    return benchmark.ask(benchmark.read(Cells(doc), "official"))


def answers(rng, options):
    for _ in range(N):
        yield rng.choice([rng.choice(LETTERS), mixture(rng), option_answers(rng, options)])


@pytest.mark.parametrize("options", OPTIONS[:6])
def test_vstar(rng, options):
    letters = ABC[: len(options)]
    shown = "".join(f"\n({x}) {text}" for x, text in zip(letters, options, strict=True))
    results, rows = [], []
    for answer in answers(rng, options):
        gold, category = rng.choice(letters), rng.choice(["direct_attributes", "relative_position"])
        doc = {"text": f"Which?{shown}", "label": gold, "category": category, "question_id": "1"}
        theirs = vstar.vstar_process_results(doc, [answer])["vstar_overall_acc"]
        ours = official("vstar", gold, answer, choices=options)
        assert ours.score == theirs["score"], (gold, answer)
        results.append(theirs)
        rows.append(row(ours.correct, answer, category, [gold], category=category))
    made = BENCHMARKS.make("vstar").summary(rows, "official")
    assert made["score"] == pytest.approx(vstar.vstar_aggregate_results(results))
    for name in ("direct_attributes", "relative_position"):
        some = [result for result in results if result["category"] == name]
        assert made[f"vstar_{name}_acc"] == pytest.approx(vstar.vstar_aggregate_results(some))


@pytest.mark.parametrize("options", OPTIONS[:6])
def test_vstar_is_worded_alike(options):
    letters = ABC[: len(options)]
    shown = "".join(f"\n({x}) {text}" for x, text in zip(letters, options, strict=True))
    doc = {
        "text": f"Which?{shown}",
        "label": "A",
        "category": "c",
        "question_id": "1",
        "image": b"",
    }
    post = BENCHMARKS.make("vstar").suffixes[""]
    assert ask("vstar", doc) == vstar.vstar_doc_to_text(doc, {"post_prompt": post})
    repeated = {**doc, "text": doc["text"] + post}  # as the table has it: there it is said twice
    theirs = vstar.vstar_doc_to_text(repeated, {"post_prompt": post})
    assert (ask("vstar", repeated), theirs.count(post)) == (theirs.replace(post, "", 1), 2)


def hr_doc(options, gold="A", **more):
    return {"question": " Which? ", "answer": gold, "category": "single", "cycle_category": "0",
            "index": 1, "image": b"?", **dict(zip(ABC, options, strict=False)), **more}  # fmt: skip


class AskedModel(Exception):
    """lmms-eval wants to ask a model."""


def test_hrbench(rng, monkeypatch):
    def ask_model(*_):
        raise AskedModel

    monkeypatch.setattr(hrbench.hrbench_evaluator, "build_prompt", ask_model)
    results, rows, unread = [], [], 0
    for options in OPTIONS:
        for answer in answers(rng, options):
            gold, turn = rng.choice(ABC[: len(options)]), str(rng.randrange(4))
            doc = hr_doc(options, gold, cycle_category=turn)
            ours = official("hrbench-4k", gold, answer, choices=options)
            try:
                result = hrbench.hrbench_process_results(doc, [answer])["average"]
            except AskedModel:
                unread += 1
                query = Query("", (gold,), answer, choices=tuple(options))
                assert (ours.correct, hrbench_letter(answer, query)) == (False, "")
                continue
            assert ours.score == result["gpt_score"], (gold, answer, options)
            results.append(result)
            rows.append(row(ours.correct, answer, category="single", cycle_category=turn))
    assert 0 < unread < len(rows)
    made = BENCHMARKS.make("hrbench-4k").summary(rows, "official")
    assert made["average"] == pytest.approx(hrbench.hrbench_aggregate_results(results, None))


@pytest.mark.parametrize("options", [options for options in OPTIONS if len(options) == 4])
def test_hrbench_is_worded_alike(options):
    doc = hr_doc(options)
    assert ask("hrbench-8k", doc) == hrbench.hrbench_doc_to_text(doc)


def test_mme_realworld(rng):
    results, rows = [], []
    for number in range(4 * N):
        answer = rng.choice(["", " ", rng.choice(LETTERS), mixture(rng)])
        if rng.random() < 0.3:
            answer = f"The best answer is {answer}"
        gold, sub = rng.choice("ABCDE"), rng.choice(realworld.SUBTASKS)
        task = rng.choice(realworld.TASKS)
        doc = {"category": f"{task}/{sub}", "l2-category": "x", "index": number, "answer": gold}
        theirs = realworld.mme_realworld_process_results(doc, [answer])["mme_realworld_score"]
        ours = official("mme-realworld", gold, answer)
        assert realworld_letter(answer) == theirs["pred_answer"], answer
        assert ours.correct is (theirs["pred_answer"] == gold)
        results.append(theirs)
        rows.append(row(ours.correct, answer, task=task, subtask=sub))
    made = BENCHMARKS.make("mme-realworld").summary(rows, "official")
    assert made["mme_realworld_score"] == realworld.mme_realworld_aggregate_results(results)
    for task in realworld.TASKS:
        some = [result for result in results if result["category"] == task]
        assert made[f"task/{task}"] == realworld.mme_realworld_aggregate_results(some)


@pytest.mark.parametrize("question", ["Where is it?", "日本?"])
def test_mme_realworld_is_worded_alike(question):
    options = [f"({letter}) {text}" for letter, text in zip("ABCDE", "vwxyz", strict=True)]
    doc = {"question": question, "multi-choice options": options, "answer": "A", "bytes": b"?",
           "category": "Perception/Monitoring", "l2-category": "x", "index": "1"}  # fmt: skip
    assert ask("mme-realworld-lite", doc) == realworld.mme_realworld_doc_to_text(doc)
