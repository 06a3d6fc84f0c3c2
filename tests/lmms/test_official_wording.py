"""Our questions are worded as lmms-eval's own code words them: ``make test-lmms``."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("lmms_eval", reason="needs an environment of its own: make test-lmms")

import yaml
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
from official import OPTIONS, vista

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.layouts import Cells


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
