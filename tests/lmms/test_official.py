"""Our official metrics beside lmms-eval's own code: ``make test-lmms``."""

import importlib.util
import os
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

if importlib.util.find_spec("lmms_eval") is None:
    pytest.skip("needs an environment of its own: make test-lmms", allow_module_level=True)

os.environ.setdefault("OPENAI_API_KEY", "never used")
os.environ["HF_HUB_OFFLINE"] = "1"

import yaml
from cases import LETTERS, NUMBERS, POOL, SENTENCES, SIDES, WORDS, mixture
from lmms_eval.api.metrics import anls as lmms_anls
from lmms_eval.tasks._task_utils import mmmu_mcq_utils
from lmms_eval.tasks._task_utils.mcq_extract import extract_mcq_answer
from lmms_eval.tasks.chartqa import utils as chartqa
from lmms_eval.tasks.docvqa import utils as docvqa
from lmms_eval.tasks.mathverse import utils as mathverse
from lmms_eval.tasks.mathvista import utils as mathvista
from lmms_eval.tasks.mmbench import en_utils as mmbench
from lmms_eval.tasks.mme import utils as mme
from lmms_eval.tasks.mmmu import utils as mmmu
from lmms_eval.tasks.mmvet import utils as mmvet
from lmms_eval.tasks.ocrbench import utils as ocrbench
from lmms_eval.tasks.pope import utils as pope
from lmms_eval.tasks.realworldqa import utils as realworldqa

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.cells import LETTERS as ABC
from experiments.benchmarks.cells import Cells
from vt_env.judges import Query, make_judge

N = 400


@pytest.fixture
def rng(request):
    """A generator of its own for each test, the same in every run."""
    return random.Random(request.node.name)


def official(name, reference, answer, *, question="", answer_type="", choices=()):
    """Our official score of one answer."""
    references = (reference,) if isinstance(reference, str) else tuple(reference)
    query = Query(question, references, answer, answer_type, tuple(choices))
    (verdict,) = BENCHMARKS.make(name).judge("official", "exact").score([query])
    return verdict


def row(correct, answer="", kind="", references=("x",), score=None, **metadata):
    score = float(correct) if score is None else score
    return {
        "answer": answer,
        "correct": correct,
        "score": score,
        "kind": kind,
        "references": list(references),
        "metadata": metadata,
    }


def pairs(rng, references, answers=POOL, n=N):
    """Every reference with itself and with odd answers, by hand and seeded."""
    made = [(ref, ref) for ref in references if ref.strip()]
    made += [(rng.choice(references), rng.choice(answers)) for _ in range(n)]
    made += [(rng.choice(references), mixture(rng)) for _ in range(n)]
    return [(ref, answer) for ref, answer in made if ref.strip()]


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


OPTIONS = [
    ["cat", "dog", "bird", "fish"],
    ["3/11", "8/11", "6/11"],
    ["yes", "no"],
    ["red", "red car", "blue", "the blue car"],
    ["hong kong", "osaka", "shanghai", "tokyo"],
    ["1", "12", "123", "2"],
    ["A", "B", "C", "D"],
    ["an", "a", "the", "none of these"],
]


def option_answers(rng, options):
    """Answers about options: letters, texts, both, neither."""
    letter, text = rng.choice(ABC[: len(options)]), rng.choice(options)
    return rng.choice(
        [
            letter,
            text,
            f"({letter}) {text}",
            f"{letter}. {text}",
            f"The answer is {text}.",
            f"I think that the answer must be {text} in this picture",
            f"{letter} {text}",
            text.upper(),
            rng.choice(LETTERS),
            mixture(rng),
            f"{text} {rng.choice(options)}",
            text[:-1],
            "",
        ]
    )


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
            assert (ours.correct, ours.reason) == (False, "no option")
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


def vista(question_type, answer_type, reference, choices=(), precision=0):
    return {
        "question_type": question_type,
        "answer_type": answer_type,
        "question": "What?",
        "unit": "",
        "query": "What?",
        "choices": list(choices) or None,
        "answer": reference,
        "precision": precision,
        "pid": "1",
        "metadata": {"split": "testmini"},
    }


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


def test_mathverse_summary(rng):
    verdicts = [rng.random() < 0.4 for _ in range(N)]
    theirs = mathverse.mathverse_aggregate_results_eval([int(v) for v in verdicts], None)
    summary = BENCHMARKS.make("mathverse").summary([row(v) for v in verdicts], "official")
    assert summary["gpt_eval_score"] == pytest.approx(theirs)


def ask(name, doc):
    """The question as we put it."""
    benchmark = BENCHMARKS.make(name)
    return benchmark.ask(benchmark.read(Cells({"image": b"", **doc}), "official"))


def kwargs(name):
    """The default wording of a task, from lmms-eval's own file."""
    folder = Path(importlib.import_module(f"lmms_eval.tasks.{name}").__path__[0])
    file = {
        "docvqa": "_default_template_docvqa_yaml",
        "mmbench": "_default_template_mmbench_en_yaml",
        "mathvista": "mathvista_testmini_format.yaml",
        "mathverse": "mathverse_testmini.yaml",
        "mmmu": "mmmu_val.yaml",
    }.get(name, f"{name}.yaml")
    lines = (folder / file).read_text().splitlines(keepends=True)
    lines = [line for line in lines if "!function" not in line]
    return yaml.safe_load("".join(lines))["lmms_eval_specific_kwargs"]["default"]


QUESTIONS = ["What is it?", " How many? ", "Is it?\nYes or no", "日本?", "Where (Unit: $) A. b"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_are_worded_alike(question):
    plain = {
        "question": question,
        "answer": "yes",
        "type": "human_test",
        "category": "c",
        "question_id": "1",
        "capability": "ocr",
        "answers": ["a"],
        "questionId": "1",
        "dataset": "d",
        "question_type": "q",
    }
    for name, word in (
        ("chartqa", chartqa.chartqa_doc_to_text),
        ("docvqa", docvqa.docvqa_doc_to_text),
        ("ocrbench", ocrbench.ocrbench_doc_to_text),
        ("pope", pope.pope_doc_to_text),
        ("realworldqa", realworldqa.realworldqa_doc_to_text),
        ("mmvet", mmvet.doc_to_text),
    ):
        assert ask(name, plain) == word(plain, kwargs(name)), name
    asked = {**plain, "question": f"{question.strip()} Please answer yes or no."}
    assert ask("mme", asked) == mme.mme_doc_to_text(asked, kwargs("mme"))


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("options", OPTIONS)
def test_questions_with_options_are_worded_alike(question, options):
    for hint in ("nan", "Look closely.", None):
        doc = {
            "index": 3,
            "question": question,
            "answer": "A",
            "hint": hint,
            "source": "s",
            "split": "dev",
            "category": "c",
            "L2-category": "l",
            **dict(zip("ABCD", [*options, *["nan"] * 4], strict=False)),
        }
        assert ask("mmbench", doc) == mmbench.mmbench_doc_to_text(doc, kwargs("mmbench"))
    doc = {
        "id": "validation_Art_1",
        "question": f"<image 1> {question}",
        "options": repr(options),
        "answer": "A",
        "question_type": "multiple-choice",
        "image_1": b"",
    }
    assert ask("mmmu", doc) == mmmu.mmmu_doc_to_text(doc, kwargs("mmmu"))
    doc |= {"question_type": "open", "answer": "5", "options": "[]"}
    assert ask("mmmu", doc) == mmmu.mmmu_doc_to_text(doc, kwargs("mmmu"))


@pytest.mark.parametrize("question", QUESTIONS)
def test_maths_is_worded_alike(question):
    forms = [
        ("multi_choice", "text", OPTIONS[0], None),
        ("free_form", "integer", None, None),
        ("free_form", "float", None, 1.0),
        ("free_form", "float", None, 2.0),
        ("free_form", "list", None, None),
    ]
    for unit in ("", "$", None):
        for kind, answer_type, choices, precision in forms:
            doc = vista(kind, answer_type, "1", choices or (), precision)
            doc |= {"question": question, "unit": unit, "caption": "", "ocr": ""}
            ours = ask("mathvista", doc)
            assert ours.strip() == mathvista.mathvista_doc_to_text(doc, kwargs("mathvista"))
    doc = {
        "question": "",
        "query_wo": question,
        "query_cot": "",
        "question_type": "free-form",
        "problem_version": "Vision Only",
        "sample_index": "1",
        "problem_index": "1",
        "answer": "1",
        "metadata": {"subject": "s"},
    }
    assert ask("mathverse", doc) == mathverse.mathverse_doc_to_text(doc, kwargs("mathverse"))
