"""Our official metrics beside lmms-eval's own code: ``make test-lmms``."""

from types import SimpleNamespace

import pytest

pytest.importorskip("lmms_eval", reason="needs an environment of its own: make test-lmms")

from cases import NUMBERS, POOL, SENTENCES, SIDES, WORDS, mixture
from lmms_eval.api.metrics import anls as lmms_anls
from lmms_eval.tasks.chartqa import utils as chartqa
from lmms_eval.tasks.mme import utils as mme
from lmms_eval.tasks.mmvet import utils as mmvet
from lmms_eval.tasks.ocrbench import utils as ocrbench
from lmms_eval.tasks.pope import utils as pope
from lmms_eval.tasks.realworldqa import utils as realworldqa
from official import N, official, pairs, row

from experiments.benchmarks import BENCHMARKS


def test_chartqa(rng):
    docs, rows = [], []
    for reference, answer in pairs(rng, WORDS + NUMBERS):
        kind = rng.choice(["human_test", "augmented_test"])
        theirs = chartqa.chartqa_process_results({"answer": reference, "type": kind}, [answer])
        ours = official("chartqa", reference, answer)
        assert ours.score == theirs["relaxed_overall"], (reference, answer)
        docs.append(theirs)
        rows.append(row(ours.correct, answer, kind))
    summary = BENCHMARKS.make("chartqa").summary(rows, "official")
    for key in ("relaxed_overall", "relaxed_human_split", "relaxed_augmented_split"):
        values = [doc[key] for doc in docs if key in doc]
        assert summary[key] == pytest.approx(sum(values) / len(values))


def test_docvqa(rng):
    for reference, answer in pairs(rng, WORDS + NUMBERS + SENTENCES):
        references = [reference, rng.choice([r for r in WORDS + NUMBERS if r.strip()])]
        theirs = lmms_anls(references, [answer])["anls"]
        ours = official("docvqa", references, answer)
        assert ours.score == pytest.approx(theirs, abs=1e-12), (references, answer)


def test_docvqa_near_misses(rng):
    for _ in range(N):
        reference = "".join(rng.choices("aAbß C\t", k=rng.randint(1, 9))).strip() or "a"
        answer = "".join(rng.choices("aAbß C\t", k=rng.randint(0, 9)))
        theirs = lmms_anls([reference], [answer])["anls"]
        assert official("docvqa", reference, answer).score == pytest.approx(theirs, abs=1e-12)


KINDS = list(ocrbench.OCRBench_score)


def test_ocrbench(rng, tmp_path, monkeypatch):
    results, rows = [], []
    formulas = ["x ^ 2", "x^2", "X^2", "\\frac { 1 } { 2 }", "a\n+ b"]
    for reference, answer in pairs(rng, WORDS + NUMBERS + formulas, POOL + formulas):
        origin, kind = rng.choice(["HME100k", "IIIT5K"]), rng.choice(KINDS)
        gold = rng.choice([reference, [reference, rng.choice(NUMBERS)]])
        doc = {"answer": gold, "dataset": origin, "question_type": kind}
        theirs = ocrbench.ocrbench_process_results(doc, [answer])["ocrbench_accuracy"]
        judged = official(
            "ocrbench", gold, answer, answer_type="math" if origin == "HME100k" else ""
        )
        assert judged.score == theirs["score"], (gold, answer, origin)
        results.append(theirs)
        rows.append(row(judged.correct, answer, kind))
    monkeypatch.setattr(ocrbench, "OCRBench_score", dict.fromkeys(KINDS, 0))
    theirs = ocrbench.ocrbench_aggregate_accuracy(
        results, SimpleNamespace(output_path=str(tmp_path))
    )
    summary = BENCHMARKS.make("ocrbench").summary(rows, "official")
    assert summary["ocrbench_accuracy"] == theirs
    for kind in KINDS:
        assert summary[f"points/{kind}"] == ocrbench.OCRBench_score[kind]


def test_mme(rng):
    results = {"mme_perception_score": [], "mme_cognition_score": []}
    rows = []
    categories = [c for group in mme.eval_type_dict.values() for c in group]
    for number in range(N):
        category = rng.choice(categories)
        for gold in ("Yes", "No"):
            answer = rng.choice(SIDES) if rng.random() < 0.7 else mixture(rng)
            doc = {"answer": gold, "category": category, "question_id": f"{category}/{number}.png"}
            ((key, theirs),) = mme.mme_process_results(doc, [answer]).items()
            ours = official("mme", gold, answer)
            assert ours.score == theirs["score"], (gold, answer)
            results[key].append(theirs)
            rows.append(row(ours.correct, answer, category, question_id=doc["question_id"]))
    summary = BENCHMARKS.make("mme").summary(rows, "official")
    for key, theirs in results.items():
        assert summary[key] == pytest.approx(mme.mme_aggregate_results(theirs))


def test_pope(rng):
    results, rows = [], []
    for answer in [*SIDES * 20, *(mixture(rng) for _ in range(N))]:
        gold = rng.choice(["yes", "no"])
        theirs = pope.pope_process_results({"answer": gold, "question_id": "1"}, [answer])
        ours = official("pope", gold, answer)
        assert ours.score == theirs["pope_accuracy"]["score"], (gold, answer)
        results.append(theirs["pope_accuracy"])
        rows.append(row(ours.correct, answer, rng.choice(["popular", "random"]), [gold]))
    _same_detection(results, rows)
    for part in ([0], [1], list(range(0, 40, 7))):  # also where a denominator is zero
        _same_detection([results[i] for i in part], [rows[i] for i in part])


def _same_detection(results, rows):
    summary = BENCHMARKS.make("pope").summary(rows, "official")
    for key in ("accuracy", "precision", "recall", "f1_score", "yes_ratio"):
        theirs = getattr(pope, f"pope_aggregate_{key}")(results)
        assert summary[f"pope_{key}"] == pytest.approx(theirs), key


def test_realworldqa(rng):
    for reference, answer in pairs(
        rng, ["A", "B", "c", "D ", "0", "Downhill", "yes", "4.", "E"], POOL
    ):
        theirs = realworldqa.realworldqa_process_results({"answer": reference}, [answer])
        ours = official("realworldqa", reference, answer)
        assert ours.score == theirs["exact_match"], (reference, answer)


def test_mmvet_summary(rng):
    rows, results = [], []
    mixes = mmvet.cap_details_columns.squeeze().tolist()
    for _ in range(N):
        score = rng.randint(0, 10) / 10
        capability = rng.choice(mixes).replace("_", ",")
        rows.append(row(score >= 0.5, score=score, capability=capability))
        results.append({"score": score, "capabilities": capability})
    theirs = mmvet.mmvet_aggregate_results(results)
    assert BENCHMARKS.make("mmvet").summary(rows, "official")["gpt_eval_score"] == pytest.approx(
        theirs
    )
