"""The benchmarks of VisionThink's Tables 1 and 2 (arXiv 2507.13348), as data.

Layouts are those that lmms-eval 0.7 reads from the Hub; sizes are those of the splits there.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.benchmarks import layouts, summaries
from experiments.benchmarks.base import Benchmark
from vt_env.registry import Registry

_TEXT, _TEXTS, _IMAGE = "string", "list of string", "image"
_SHORT = {"": "\nAnswer the question using a single word or phrase."}
_LETTER = "Answer with the option's letter from the given choices directly."
_HINT = "\nAnswer the question using a single "
_PAPER = "https://arxiv.org/abs/"

CHARTQA = Benchmark(
    name="chartqa",
    title="ChartQA",
    hub="lmms-lab/ChartQA",
    config="",
    split="test",
    size=2500,
    source=f"{_PAPER}2203.10244",
    columns={"type": _TEXT, "question": _TEXT, "answer": _TEXT, "image": _IMAGE},
    read=layouts.chartqa,
    suffixes={"": "\nAnswer the question with a single word."},
    official="relaxed:official",
    fixed="relaxed",
    summarise=summaries.chartqa,
    headline="relaxed_overall",
)
OCRBENCH = Benchmark(
    name="ocrbench",
    title="OCRBench",
    hub="echo840/OCRBench",
    config="",
    split="test",
    size=1000,
    source=f"{_PAPER}2305.07895",
    columns={
        "dataset": _TEXT,
        "question": _TEXT,
        "question_type": _TEXT,
        "answer": _TEXTS,
        "image": _IMAGE,
    },
    read=layouts.ocrbench,
    official="substring:official",
    fixed="substring",
    summarise=summaries.ocrbench,
    headline="ocrbench_accuracy",
)
DOCVQA = Benchmark(
    name="docvqa",
    title="DocVQA",
    hub="lmms-lab/DocVQA",
    config="DocVQA",
    split="validation",
    size=5349,
    source=f"{_PAPER}2007.00398",
    columns={"questionId": _TEXT, "question": _TEXT, "answers": _TEXTS, "image": _IMAGE},
    read=layouts.docvqa,
    suffixes=_SHORT,
    official="anls:official",
    fixed="anls",
    summarise=summaries.docvqa,
    headline="anls",
)
MME = Benchmark(
    name="mme",
    title="MME",
    hub="lmms-lab/MME",
    config="",
    split="test",
    size=2374,
    source=f"{_PAPER}2306.13394",
    columns={
        "question_id": _TEXT,
        "image": _IMAGE,
        "question": _TEXT,
        "answer": _TEXT,
        "category": _TEXT,
    },
    read=layouts.mme,
    suffixes=_SHORT,
    official="yesno:prefix",
    fixed="yesno",
    summarise=summaries.mme,
    headline="mme_score",
    scale=1.0,
)
MMVET = Benchmark(
    name="mmvet",
    title="MM-Vet",
    hub="lmms-lab/MMVet",
    config="",
    split="test",
    size=218,
    source=f"{_PAPER}2308.02490",
    columns={
        "question_id": _TEXT,
        "image": _IMAGE,
        "question": _TEXT,
        "answer": _TEXT,
        "capability": _TEXT,
    },
    read=layouts.mmvet,
    prefix="First please perform reasoning, and think step by step to provide best answer to the "
    "following question: \n\n",
    asks_model=True,
    official="",
    fixed="auto",
    summarise=summaries.mmvet,
    headline="gpt_eval_score",
    scale=1.0,
)
REALWORLDQA = Benchmark(
    name="realworldqa",
    title="RealWorldQA",
    hub="lmms-lab/RealWorldQA",
    config="",
    split="test",
    size=765,
    source="https://x.ai/news/grok-1.5v",
    columns={"image": _IMAGE, "question": _TEXT, "answer": _TEXT},
    read=layouts.realworldqa,
    official="realworldqa",
    fixed="auto",
    summarise=summaries.realworldqa,
    headline="exact_match",
)
POPE = Benchmark(
    name="pope",
    title="POPE",
    hub="lmms-lab/POPE",
    config="",
    split="test",
    size=9000,
    source=f"{_PAPER}2305.10355",
    columns={
        "question_id": _TEXT,
        "question": _TEXT,
        "answer": _TEXT,
        "image": _IMAGE,
        "category": _TEXT,
    },
    read=layouts.pope,
    suffixes=_SHORT,
    official="yesno:word",
    fixed="yesno",
    summarise=summaries.pope,
    headline="pope_f1_score",
)
MATHVISTA = Benchmark(
    name="mathvista",
    title="MathVista",
    hub="AI4Math/MathVista",
    config="",
    split="testmini",
    size=1000,
    source=f"{_PAPER}2310.02255",
    columns={
        "pid": _TEXT,
        "question": _TEXT,
        "decoded_image": _IMAGE,
        "choices": _TEXTS,
        "unit": _TEXT,
        "precision": "float64",
        "answer": _TEXT,
        "question_type": _TEXT,
        "answer_type": _TEXT,
        "metadata": "struct",
    },
    read=layouts.mathvista,
    suffixes={
        "choice": f"\n{_LETTER}",
        "integer": f"{_HINT}integer number.",
        "float1": f"{_HINT}floating-point number with one decimal place.",
        "float2": f"{_HINT}floating-point number with two decimal places.",
        "list": "\nAnswer the question using a Python list.",
    },
    asks_model=True,
    official="mathvista",
    fixed="auto",
    summarise=summaries.mathvista,
    headline="accuracy",
    scale=1.0,
)
MATHVERSE = Benchmark(
    name="mathverse",
    title="MathVerse",
    hub="AI4Math/MathVerse",
    config="testmini",
    split="testmini",
    size=3940,
    source=f"{_PAPER}2403.14624",
    columns={
        "sample_index": _TEXT,
        "problem_index": _TEXT,
        "problem_version": _TEXT,
        "image": _IMAGE,
        "answer": _TEXT,
        "question_type": _TEXT,
        "metadata": "struct",
        "query_wo": _TEXT,
    },
    read=layouts.mathverse,
    asks_model=True,
    official="",
    fixed="auto",
    summarise=summaries.mathverse,
    headline="gpt_eval_score",
)
MATHVERSE_VISION = replace(
    MATHVERSE,
    name="mathverse-vision",
    title="MathVerse, vision only",
    size=788,
    only=("problem_version", "Vision Only"),
)
MMMU = Benchmark(
    name="mmmu",
    title="MMMU",
    hub="lmms-lab/MMMU",
    config="",
    split="validation",
    size=900,
    source=f"{_PAPER}2311.16502",
    columns={
        "id": _TEXT,
        "question": _TEXT,
        "options": _TEXT,
        **{f"image_{i}": _IMAGE for i in range(1, 8)},
        "answer": _TEXT,
        "question_type": _TEXT,
    },
    read=layouts.mmmu,
    suffixes={
        "choice": f"\n\n{_LETTER}",
        "open": "\n\nAnswer the question using a single word or phrase.",
    },
    official="mmmu",
    fixed="auto",
    summarise=summaries.mmmu,
    headline="mmmu_acc",
    max_refused=0.25,
)
MMBENCH = Benchmark(
    name="mmbench",
    title="MMBench",
    hub="lmms-lab/MMBench",
    config="en",
    split="dev",
    size=4329,
    source=f"{_PAPER}2307.06281",
    columns={
        "index": "int64",
        "question": _TEXT,
        "hint": _TEXT,
        "answer": _TEXT,
        **dict.fromkeys("ABCD", _TEXT),
        "category": _TEXT,
        "image": _IMAGE,
        "L2-category": _TEXT,
    },
    read=layouts.mmbench,
    suffixes={"": f"\n\n{_LETTER}"},
    official="mmbench",
    fixed="mcq",
    summarise=summaries.mmbench,
    headline="gpt_eval_score",
    scale=1.0,
)

ALL = (CHARTQA, OCRBENCH, DOCVQA, MME, MMVET, REALWORLDQA, POPE, MATHVISTA, MATHVERSE,
       MATHVERSE_VISION, MMMU, MMBENCH)  # fmt: skip
PAPER = ("chartqa", "ocrbench", "docvqa", "mme", "mmvet", "realworldqa", "pope", "mathvista",
         "mathverse")  # fmt: skip
"""Those of Table 2, in its order."""

BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark", "vt.benchmarks", {one.name: lambda one=one: one for one in ALL}
)
"""Benchmarks by name; ``make(name)`` gives one."""
