"""From a row of each benchmark's public table to the parts of a sample.

Questions are worded as lmms-eval 0.7 words them by default; ``make test-lmms`` compares the two.
"""

from __future__ import annotations

import re

from experiments.benchmarks.cells import LETTERS, Cells, Item, lettered
from vt_env.errors import DataError

_IMAGES = range(1, 8)
_MMMU_ID = re.compile(r"[^_]+_(.+?)_\d+")


def chartqa(cells: Cells, variant: str) -> Item:
    """Human-written and augmented questions in one table."""
    return Item(
        cells.text("question"), cells.texts("answer"), cells.raw("image"), kind=cells.text("type")
    )


def ocrbench(cells: Cells, variant: str) -> Item:
    """HME100k are formulas, which are compared otherwise."""
    origin = cells.text("dataset")
    return Item(
        cells.text("question").strip(),
        cells.texts("answer"),
        cells.raw("image"),
        kind=cells.text("question_type"),
        answer_type="math" if origin == "HME100k" else "",
        metadata={"dataset": origin},
    )


def docvqa(cells: Cells, variant: str) -> Item:
    """Question types are a list; they are one kind together."""
    types = cells.raw("question_types") or []
    return Item(
        cells.text("question"),
        cells.texts("answers"),
        cells.raw("image"),
        id=cells.text("questionId"),
        kind=", ".join(map(str, types)),
        metadata=cells.metadata("docId", "ucsf_document_id", "ucsf_document_page_no"),
    )


def mme(cells: Cells, variant: str) -> Item:
    """Two questions a picture share its ``question_id``; the table asks for yes or no itself."""
    question = cells.text("question").strip().replace(" Please answer yes or no.", "")
    return Item(
        question,
        (_yes_or_no(cells),),
        cells.raw("image"),
        kind=cells.text("category"),
        answer_type="yesno",
        metadata={"question_id": cells.text("question_id")},
    )


def mmvet(cells: Cells, variant: str) -> Item:
    """References have ``<OR>`` between alternatives and ``<AND>`` between what must all be said."""
    answer = cells.text("answer")
    references = tuple(
        ", ".join(part.strip() for part in either.split("<AND>")) for either in answer.split("<OR>")
    )
    return Item(
        cells.text("question"),
        references,
        cells.raw("image"),
        id=cells.text("question_id"),
        kind=cells.text("capability"),
        answer_type="list" if "<AND>" in answer else "",
        metadata={"answer": answer, "capability": cells.text("capability")},
    )


def realworldqa(cells: Cells, variant: str) -> Item:
    """Options stand in the question; other answers are a number or a word."""
    answer = cells.text("answer").strip()
    return Item(
        cells.text("question").strip(),
        (answer,),
        cells.raw("image"),
        answer_type="mcq" if answer.upper() in ("A", "B", "C", "D") else "",
    )


def pope(cells: Cells, variant: str) -> Item:
    """The three ways of sampling objects are the kinds."""
    return Item(
        cells.text("question").strip(),
        (_yes_or_no(cells),),
        cells.raw("image"),
        kind=cells.text("category"),
        answer_type="yesno",
        metadata={"question_id": cells.text("question_id")},
    )


def _yes_or_no(cells: Cells) -> str:
    answer = cells.text("answer").strip()
    if answer.lower().rstrip(".") not in ("yes", "no"):
        raise DataError(f"the column 'answer' must be yes or no, got {answer[:40]!r}")
    return answer


def mathvista(cells: Cells, variant: str) -> Item:
    """The hint after the question depends on the type of answer and on its precision."""
    choices = cells.texts("choices") if cells.raw("choices") else ()
    if (cells.text("question_type") == "multi_choice") is not bool(choices):
        raise DataError("the column 'choices' must hold options for multi_choice, and only there")
    answer_type = cells.text("answer_type")
    form = "choice" if choices else answer_type
    if form == "float":
        precision = cells.raw("precision")
        if precision not in (1, 2):
            raise DataError(f"the column 'precision' must be 1 or 2 for a float, got {precision!r}")
        form = f"float{int(precision)}"
    elif form not in ("choice", "integer", "list"):
        raise DataError(f"the column 'answer_type' must be integer, float or list, got {form!r}")
    unit = cells.optional("unit")
    question = cells.text("question") + (f" (Unit: {unit})" if unit else "")
    known = cells.nested("metadata")
    return Item(
        f"{question}\n{lettered(choices)}" if choices else question,
        (cells.text("answer"),),
        cells.raw("decoded_image"),
        id=cells.text("pid"),
        kind=str(known.get("task", "")),
        answer_type={"choice": "mcq", "list": "list"}.get(form, "numeric"),
        choices=choices,
        metadata={
            **known, "question_type": cells.text("question_type"), "answer_type": answer_type
        },
        form=form,
    )  # fmt: skip


def mathverse(cells: Cells, variant: str) -> Item:
    """The table words the whole question; of *vision only* ones it stands in the picture."""
    return Item(
        cells.text("query_wo").strip(),
        (cells.text("answer"),),
        cells.raw("image"),
        id=cells.text("sample_index"),
        kind=cells.text("problem_version"),
        metadata={
            **cells.nested("metadata"),
            **cells.metadata("problem_index", "question_type", "problem_version"),
        },
    )


def mmmu(cells: Cells, variant: str) -> Item:
    """One picture a question: rows that show several are refused.

    An open answer may be a written list of accepted ones; the published metric takes it literally.
    """
    shown = [i for i in _IMAGES if cells.raw(f"image_{i}") is not None]
    if len(shown) != 1:
        raise DataError(f"shows {len(shown)} pictures, and an episode has one original")
    name = cells.text("id")
    if not (match := _MMMU_ID.fullmatch(name)):
        raise DataError(f"the column 'id' must be SPLIT_SUBJECT_NUMBER, got {name!r}")
    answer, question, image = cells.text("answer"), cells.text("question"), f"image_{shown[0]}"
    known = {"subject": match[1], "question_type": cells.text("question_type")}
    if known["question_type"] == "multiple-choice":
        choices = cells.literal("options")
        if answer not in LETTERS[: len(choices)]:
            raise DataError(f"the answer {answer!r} is none of the {len(choices)} options")
        return Item(
            f"{question}\n{lettered(choices)}", (answer,), cells.raw(image), name, match[1], "mcq",
            choices, known, "choice",
        )  # fmt: skip
    several = variant != "official" and answer.startswith("[")
    references = cells.literal("answer") if several else (answer,)
    return Item(question, references, cells.raw(image), name, match[1], metadata=known, form="open")


def mmbench(cells: Cells, variant: str) -> Item:
    """Copies of a question with its options turned round have its index plus a million each."""
    choices = tuple(text for letter in "ABCDE" if (text := cells.optional(letter)))
    answer = cells.text("answer").strip()
    if answer not in LETTERS[: len(choices)]:
        raise DataError(f"the answer {answer!r} is none of the {len(choices)} options")
    if not (index := cells.text("index")).isdecimal():
        raise DataError(f"the column 'index' must be a number, got {index!r}")
    hint = cells.optional("hint")
    options = f"There are several options:\n{lettered(choices)}"
    return Item(
        f"{hint} {cells.text('question')} {options}"
        if hint
        else f"{cells.text('question')} {options}",
        (answer,),
        cells.raw("image"),
        id=index,
        kind=cells.text("category"),
        answer_type="mcq",
        choices=choices,
        metadata={
            "index": int(index),
            "options": len(choices),
            "category": cells.text("category"),
            "l2_category": cells.optional("L2-category"),
        },
    )
