"""Tasks of lmms-eval that are benchmarks here, and what a log's line says of a sample."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import BENCHMARKS, Benchmark
from experiments.benchmarks.cells import LETTERS
from experiments.evaluation.rows import plain

TASKS: Mapping[str, str] = {
    **{name: name for name in ("chartqa", "ocrbench", "mme", "mmvet", "realworldqa", "pope")},
    "docvqa_val": "docvqa",
    **{f"mathvista_testmini_{form}": "mathvista" for form in ("cot", "format", "solution")},
    "mathverse_testmini": "mathverse",
    "mathverse_testmini_vision_only": "mathverse-vision",
    "mmmu_val": "mmmu",
    "mmbench_en_dev": "mmbench",
    "mmbench_en_dev_static": "mmbench",
}
"""The benchmark of each task."""

SUMMED = ("chartqa", "ocrbench", "docvqa", "mme", "realworldqa", "pope", "mmmu")
"""Benchmarks whose own numbers can be made of a log: it holds all that they need."""

_KINDS = ("category", "question_type", "subdomain")
"""What of a metric's object is the kind of a question, the first that is there."""
_LEFT = ("score", "prediction", "parsed_pred", "pred", "ground_truth", "answer")
"""What of it is not the sample's."""
_OPTION = re.compile(r"^([A-Z])\. (.*)$", re.MULTILINE)
_FORMULA = "Handwritten Mathematical Expression Recognition"


def benchmark_of(task: str) -> Benchmark | None:
    """The benchmark that a task is, if it is one of ours."""
    return BENCHMARKS.make(TASKS[task]) if task in TASKS else None


def told_of(task: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's ``kind``, and metadata, as far as the metrics' objects tell.

    Args:
        task: The task.
        metrics: The fields of a log's line that are metrics'.
    """
    name = TASKS.get(task)
    if name == "chartqa":  # of which part a row is shows in which metrics it has
        human = "relaxed_human_split" in metrics
        return {"kind": "human_test" if human else "augmented_test"}
    told: dict[str, Any] = {}
    for value in metrics.values():
        if isinstance(value, Mapping):
            told |= {str(k): plain(item) for k, item in value.items() if k not in _LEFT}
    if name == "mmmu":
        return {**told, "kind": told.get("subdomain", ""), "subject": told.get("subdomain")}
    kind = next((str(told[key]) for key in _KINDS if told.get(key)), "")
    return {**told, "kind": kind}


def asked_as(task: str, question: str, accepted: Sequence[str], kind: str) -> dict[str, Any]:
    """The ``answer_type`` and ``choices`` of a known benchmark's question, which no log has."""
    name, choices = TASKS.get(task), []
    if name in ("mme", "pope"):
        return {"answer_type": "yesno", "choices": []}
    if name == "ocrbench" and kind == _FORMULA:
        return {"answer_type": "math", "choices": []}
    if name in ("mmmu", "mmbench"):
        for letter, text in _OPTION.findall(question):
            if letter == LETTERS[len(choices)]:
                choices.append(text)
        if len(accepted) == 1 and accepted[0].strip() in LETTERS[: len(choices)]:
            return {"answer_type": "mcq", "choices": choices}
    return {"answer_type": "", "choices": []}
