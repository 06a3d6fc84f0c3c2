"""Our official zoom metrics beside VLMEvalKit's own code: ``make test-vlmevalkit VLMEVALKIT=DIR``.

It is on no package index and imports every model that it knows. From a checkout, these tests take
the functions that decide, and run them with pandas alone.
"""

from __future__ import annotations

import ast
import copy
import os
import random
import re
import string
import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cases import LETTERS, mixture
from official import OPTIONS, official, option_answers, row

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.layouts import LETTERS as ABC
from experiments.benchmarks.layouts import Cells
from experiments.benchmarks.zoom_letters import hrbench_letter, realworld_letter, vstar_letter
from vt_env.judges import Query

pd = pytest.importorskip("pandas")

CHECKOUT = os.environ.get("VLMEVALKIT", "")
pytestmark = pytest.mark.skipif(
    not CHECKOUT, reason="VLMEVALKIT names no checkout of VLMEvalKit: see `make test-vlmevalkit`"
)
N = 1000
ROWS = 200
"""Of a file; what reads it is quadratic."""
DATASET = "vlmeval.dataset"
KNOWN: dict[str, Any] = {
    "np": np, "pd": pd, "re": re, "os": os, "osp": os.path, "cp": copy, "string": string,
    "defaultdict": defaultdict, "get_file_extension": lambda name: name.rpartition(".")[2],
    "get_intermediate_file_path": lambda name, mark, kind="xlsx": f"{name}{mark}.{kind}",
    "toliststr": list, "print": lambda *_: None,
}  # fmt: skip
"""What the functions look up beside each other."""


def taken(file: str, *names: str, **given: Any) -> dict[str, Any]:
    """Functions, classes and constants of a file, without what it imports.

    A class is without its bases; of one that is named ``X.f`` only the method ``f`` is there.
    """
    wanted = {name.partition(".")[0]: set[str]() for name in names}
    for name in names:
        owner, _, method = name.partition(".")
        wanted[owner] |= {method} - {""}
    body: list[ast.stmt] = []
    for node in ast.parse((Path(CHECKOUT) / file).read_text("utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names_of = [getattr(node, "name", ""), *(getattr(target, "id", "") for target in targets)]
        if not wanted.keys() & set(names_of):
            continue
        if isinstance(node, ast.ClassDef):
            kept = wanted[node.name]
            node.bases = []
            node.body = [
                part for part in node.body
                if not isinstance(part, ast.FunctionDef) or part.name in kept
            ]  # fmt: skip
        body.append(node)
    made = {**KNOWN, **given, "__name__": "taken", "__package__": DATASET}
    exec(compile(ast.Module(body, []), file, "exec"), made)
    assert wanted.keys() <= made.keys(), f"{file} has no longer {wanted.keys() - made.keys()}"
    return made


@pytest.fixture(scope="module")
def theirs():
    """What decides, of every file: letters, ratings, boxes and prompts."""
    files: dict[str, Any] = {}
    store = {
        "load": lambda name: files[name].copy(),
        "dump": lambda v, name: files.update({name: v}),
    }
    utils = f"{DATASET.replace('.', '/')}/utils"
    choice = taken(f"{utils}/multiple_choice.py", "extract_characters_regex",
                   "get_dimension_rating", "build_choices", **store)  # fmt: skip
    tree = taken(f"{utils}/treebench.py", "get_dimension_rating", **store)
    hr = taken(f"{utils}/hrbench.py", "report_acc_hrbench", "hrbench_score")
    match = taken("vlmeval/utils/matching_util.py", "_VERBOSE_ANSWER_RE", "can_infer_option",
                  "can_infer_text", "can_infer")  # fmt: skip
    sets = taken(f"{DATASET.replace('.', '/')}/image_mcq.py", "MMERealWorld.evaluate",
                 "MMERealWorld.build_prompt", "TreeBench.evaluate", "TreeBench.evaluate_box_iou",
                 "TreeBench.build_prompt", **store)  # fmt: skip
    overlap = sets["TreeBench"].evaluate_box_iou
    sets["TreeBench"].evaluate_box_iou = staticmethod(
        lambda *given: float(overlap(*given))  # new releases of pandas take no True for a number
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, parts in (("multiple_choice", choice), ("treebench", tree)):
            module = ModuleType(name)
            vars(module).update(parts)
            patch.setitem(sys.modules, f"{DATASET}.utils.{name}", module)
        for parent in ("vlmeval", DATASET, f"{DATASET}.utils"):
            patch.setitem(sys.modules, parent, ModuleType(parent))
        yield {**sets, **match, **hr, "read": choice["extract_characters_regex"],
               "build_choices": choice["build_choices"], "files": files}  # fmt: skip


@pytest.fixture
def rng(request):
    """A generator of its own for each test, the same in every run."""
    return random.Random(request.node.name)


def any_answer(rng: random.Random, options: list[str]) -> str:
    """An odd text, one about options, or a sentence that announces one of them."""
    said = rng.choice([rng.choice(LETTERS), mixture(rng), option_answers(rng, options), "", " "])
    announced = ("The best answer is ", "Best option:", "the answer is ", "I see a sign. It is ")
    return f"{rng.choice(announced)}{said}" if rng.random() < 0.3 else said


def test_the_letter_of_mme_realworld_is_read_alike(theirs, rng):
    for _ in range(5 * N):
        answer = any_answer(rng, rng.choice(OPTIONS))
        assert realworld_letter(answer) == theirs["read"](answer), answer


def rated(theirs, dataset, rows):
    """What VLMEvalKit makes of a file of predictions: its scores and its rating."""
    theirs["files"].clear()
    theirs["files"]["x.xlsx"] = pd.DataFrame([{"index": i, **row} for i, row in enumerate(rows)])
    rating = theirs[dataset].evaluate("x.xlsx")
    return theirs["files"][
        "x_score.xlsx" if dataset == "TreeBench" else "x.xlsx_score.xlsx"
    ], rating


REALWORLD = ["Monitoring", "OCR with Complex Context", "Diagram and Table", "Remote Sensing"]


def realworld_rows(rng, n, wrap):
    """Predictions, and the answers that an episode has of them."""
    for _ in range(n):
        answer = any_answer(rng, rng.choice(OPTIONS))
        category = f"{rng.choice(['Perception', 'Reasoning'])}/{rng.choice(REALWORLD)}"
        yield answer, {"category": category, "l2-category": "position",
                       "answer": rng.choice("ABCDE"), "prediction": wrap(answer)}  # fmt: skip


def test_mme_realworld_without_tags(theirs, rng):
    told = list(realworld_rows(rng, ROWS, lambda answer: answer))
    scores, rating = rated(theirs, "MMERealWorld", [row for _, row in told])
    ours = [official("mme-realworld", one["answer"], answer).correct for answer, one in told]
    assert ours == [score == 1 for score in scores["score"]]
    parts = [one["category"].split("/") for _, one in told]
    rows = [
        row(correct, task=task, subtask=part)
        for correct, (task, part) in zip(ours, parts, strict=True)
    ]
    made = BENCHMARKS.make("mme-realworld").summary(rows, "official")
    assert made["mme_realworld_score"] == pytest.approx(rating["Overall"])
    for task in ("Perception", "Reasoning"):
        assert made[f"task/{task}"] == pytest.approx(rating[task]["Avg"])
        for part in REALWORLD:
            assert made[f"subtask/{task}/{part}"] == pytest.approx(rating[task][part]["Avg"])


def test_mme_realworld_in_tags_is_read_in_capitals_there(theirs, rng):
    """Which is TreeBench's reading; ours is lmms-eval's, in which *the* has no E."""
    told = list(realworld_rows(rng, ROWS, lambda answer: f"<answer>{answer}</answer>"))
    scores, _ = rated(theirs, "MMERealWorld", [row for _, row in told])
    differ = 0
    for (answer, one), score in zip(told, scores["score"], strict=True):
        ours = official("mme-realworld", one["answer"], answer).correct
        assert official("treebench", one["answer"], answer).correct is (score == 1), answer
        if ours is not (score == 1):
            assert answer != answer.upper()
            differ += 1
    assert 0 < differ < ROWS / 4


BOXES = ["[0,0,10,10]", "[5, 5, 9, 9]", "[5,5,30,20]", "[9,9,9,12]", "[30,4,20,8]", "[1.5,2,3,4]",
         "the sign [2,2,8,8]", "", "[2,2,8,8] and more"]  # fmt: skip
PARTS = ["Perception/OCR", "Perception/Material", "Reasoning/Ordering", "Reasoning/Comparison"]


def test_treebench(theirs, rng):
    told, rows = [], []
    for _ in range(ROWS):
        answer, right = any_answer(rng, rng.choice(OPTIONS)), rng.choice("ABCDE")
        targets = [[0.0, 0.0, 10.0, 10.0], [4.0, 4.0, 20.0, 20.0]][: rng.randrange(3)]
        thought = " ".join(f"<box>{rng.choice(BOXES)}</box>" for _ in range(rng.randrange(4)))
        text = f"<think>It is {thought}</think><answer>{answer}</answer>"
        part = rng.choice(PARTS)
        told.append({"category": part, "answer": right, "prediction": text,
                     "target_instances": str(targets)})  # fmt: skip
        correct = official("treebench", right, answer).correct
        known = {"category": part, "target_boxes": targets}
        rows.append({**row(correct, answer, **known), "turns": [{"text": text}], "regions": [None]})
    scores, rating = rated(theirs, "TreeBench", told)
    assert [one["correct"] for one in rows] == [score == 1 for score in scores["score"]]
    benchmark = BENCHMARKS.make("treebench")
    made = benchmark.summary(rows, "official")
    assert made["accuracy"] == pytest.approx(rating["Overall"])
    for part in PARTS:
        task, name = part.split("/")
        assert made[f"category/{part}"] == pytest.approx(rating[task][name])
    for one, iou in zip(rows, scores["iou"], strict=True):
        assert benchmark.summary([one], "official")["miou"] == pytest.approx(float(iou)), one
    assert made["miou"] == pytest.approx(rating["mIoU"])


class Shown:
    """Stands for the data set where a prompt is built."""

    meta_only, dataset_name = True, "MME-RealWorld"


def asked(name, doc):
    """The question as we put it."""
    benchmark = BENCHMARKS.make(name)
    return benchmark.ask(benchmark.read(Cells(doc), "official"))


@pytest.mark.parametrize("options", OPTIONS)
def test_treebench_is_worded_alike(theirs, options):
    doc = {"index": "1", "question": "Which?", "answer": "A", "category": "Perception/OCR",
           "image": b"?", **dict(zip(ABC, options, strict=False))}  # fmt: skip
    line = pd.Series({**doc, "image_path": ["x"]})
    *_, told = theirs["TreeBench"].build_prompt(Shown(), line)
    assert asked("treebench", doc) == told["value"].rstrip()


def test_mme_realworld_is_worded_alike_but_for_spaces(theirs):
    shown = [f"({letter}) {text}" for letter, text in zip("ABCDE", "vwxyz", strict=True)]
    doc = {"question": "Where is it?", "multi-choice options": shown, "answer": "A", "bytes": b"?",
           "category": "Perception/Monitoring", "l2-category": "x", "index": "1"}  # fmt: skip
    listed = "The choices are listed below:\n" + "\n".join(shown)
    line = pd.Series({**doc, "multi-choice options": listed, "image_path": ["x"]})
    sets = theirs["MMERealWorld"]
    *_, told = sets.build_prompt(type("Shown", (Shown,), {"SYS": sets.SYS})(), line)
    assert asked("mme-realworld", doc).split() == told["value"].split()


def inferred(theirs, answer: str, options: list[str]) -> str:
    """The letter that VLMEvalKit finds for HR-Bench and V*Bench before it asks a model."""
    item = {"prediction": answer, **dict(zip(ABC, options, strict=False))}
    found = theirs["can_infer"](answer, theirs["build_choices"](item))
    return found if found and found != "Z" else ""


def why(theirs, answer: str, options: list[str], ours: str) -> str:
    """The rule by which VLMEvalKit reads otherwise than lmms-eval and we do; empty if none does."""
    if theirs["_VERBOSE_ANSWER_RE"].search(answer):
        return "announced"
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", answer).split()
    if ours in words and words.index(ours) <= len(words) - 5:
        return "early"
    if ours and len(answer) > 2 * sum(map(len, options)):
        return "long"
    return ""


def test_hrbench_differs_by_three_rules(theirs, rng):
    """A letter that is announced; one among the last five words; texts in short answers only."""
    reasons = defaultdict[str, int](int)
    for _ in range(5 * N):
        options = rng.choice(OPTIONS)
        answer = any_answer(rng, options)
        ours = hrbench_letter(answer, Query("", ("A",), answer, choices=tuple(options)))
        if inferred(theirs, answer, options) != ours:
            reason = why(theirs, answer, options, ours)
            assert reason, (answer, options, ours)
            reasons[reason] += 1
    assert set(reasons) == {"announced", "early", "long"}
    assert sum(reasons.values()) < 0.1 * 5 * N, dict(reasons)


@pytest.mark.parametrize("options", OPTIONS)
def test_plain_answers_to_hrbench_and_vstar_are_read_alike(theirs, options):
    for letter, text in zip(ABC, options, strict=False):
        for answer in (letter, f"({letter})", f"{letter}.", f"{letter}. {text}", f"**{letter}**"):
            ours = hrbench_letter(answer, Query("", ("A",), answer, choices=tuple(options)))
            assert inferred(theirs, answer, options) == ours == vstar_letter(answer) == letter


def test_hrbench_is_averaged_alike(theirs, rng):
    told = [
        {"cycle_category": str(turn), "category": part, "hit": rng.randrange(2)}
        for part in ("single", "cross") for turn in range(4) for _ in range(rng.randrange(5, 9))
    ]  # fmt: skip
    rating = theirs["report_acc_hrbench"](pd.DataFrame(told))
    rows = [
        row(one["hit"] == 1, **{k: one[k] for k in ("category", "cycle_category")}) for one in told
    ]
    made = BENCHMARKS.make("hrbench-4k").summary(rows, "official")
    means = rating[rating["cycle"] == "Average"].set_index("type")["accuracy"]
    assert (made["average"], made["single"], made["cross"]) == pytest.approx(
        (means["all"], means["single"], means["cross"])
    )
