"""From a row of each benchmark's public table to the parts of a sample.

Questions are worded as lmms-eval 0.7 words them by default; ``make test-lmms`` compares the two.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vt_env.errors import DataError
from vt_env.samples import FORM
from vt_env.sources.encoded import decoded
from vt_env.sources.places import Place
from vt_env.sources.rows import jsonable, scalar
from vt_env.sources.tables import parse_object

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
            FORM: cells.text("problem_index"),
        },
    )


def mmmu(cells: Cells, variant: str) -> Item:
    """Up to seven pictures, which marks as ``<image 2>`` in question and options name.

    An open answer may be a written list of accepted ones; the published metric takes it literally.
    """
    shown = [i for i in _IMAGES if cells.raw(f"image_{i}") is not None]
    if not shown or (len(shown) > 1 and shown[-1] != len(shown)):
        raise DataError(f"has the pictures {shown}; expected one, or several from image_1 on")
    image, *more = (cells.raw(f"image_{i}") for i in shown)
    name = cells.text("id")
    if not (match := _MMMU_ID.fullmatch(name)):
        raise DataError(f"the column 'id' must be SPLIT_SUBJECT_NUMBER, got {name!r}")
    answer, question = cells.text("answer"), cells.text("question")
    known = {"subject": match[1], "question_type": cells.text("question_type")}
    if known["question_type"] == "multiple-choice":
        choices = cells.literal("options")
        if answer not in LETTERS[: len(choices)]:
            raise DataError(f"the answer {answer!r} is none of the {len(choices)} options")
        return Item(
            f"{question}\n{lettered(choices)}", (answer,), image, name, match[1], "mcq",
            choices, known, "choice", tuple(more),
        )  # fmt: skip
    several = variant != "official" and answer.startswith("[")
    references = cells.literal("answer") if several else (answer,)
    return Item(
        question, references, image, name, match[1],
        metadata=known, form="open", more_images=tuple(more),
    )  # fmt: skip


def mmbench(cells: Cells, variant: str) -> Item:
    """Copies of a question with its options turned round have its index plus a million each.

    An option that is missing before others keeps its letter, as an empty text.
    """
    shown = {letter: cells.option(letter) for letter in "ABCDE"}
    letters = [letter for letter, text in shown.items() if text]
    choices = tuple(shown[letter] for letter in "ABCDE" if letter <= max(letters, default=""))
    answer = cells.text("answer").strip()
    if answer not in letters:
        raise DataError(f"the answer {answer!r} is none of the {len(letters)} options")
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
            "options": len(letters),
            "category": cells.text("category"),
            "l2_category": cells.optional("L2-category"),
            FORM: str(int(index) % MILLION),
        },
    )


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MILLION = 1_000_000
"""What MMBench adds to a question's index for each further copy of it."""
_ABSENT = ("", "nan", "none", "null")
"""How tables write that there is nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """The parts of a sample.

    Attributes:
        question: The question, options written out, without the benchmark's prefix and suffix.
        references: Accepted answers.
        image: The cell of the picture.
        id: The row's own id; empty where it has none.
        kind: Category, for tables.
        answer_type: See :class:`vt_env.judges.Query`.
        choices: Option texts.
        metadata: What the metric needs beside that.
        form: Which suffix is put after the question.
        more_images: The cells of further pictures.
    """

    question: str
    references: tuple[str, ...]
    image: Any
    id: str = ""
    kind: str = ""
    answer_type: str = ""
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    form: str = ""
    more_images: tuple[Any, ...] = ()


class Cells:
    """The cells of one row; every error names the column.

    Args:
        row: Column to value.
        place: Where the table's files are, if it has any.
    """

    def __init__(self, row: Mapping[str, Any], place: Place | None = None) -> None:
        self._row = row
        self._place = place

    def raw(self, column: str) -> Any:
        """The value as it is; ``None`` where the column is missing."""
        return self._row.get(column)

    def text(self, column: str) -> str:
        """A text or a number as text, not empty."""
        value = self._row.get(column)
        if value is None:
            raise DataError(f"the column {column!r} is empty")
        return scalar(value, f"the column {column!r}")

    def optional(self, column: str) -> str:
        """A text, or ``""`` where the table says that there is none (null, NaN, ``nan``)."""
        value = self._row.get(column)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        text = str(value)
        return "" if text.strip().lower() in _ABSENT else text

    def option(self, column: str) -> str:
        """An option's text, which may be the word ``None``; ``""`` for null, NaN and ``nan``."""
        value = self._row.get(column)
        text = "" if value is None else str(value)
        return "" if text.strip().lower() in ("", "nan") else text

    def texts(self, column: str) -> tuple[str, ...]:
        """A list of texts, or one; blank ones are passed over."""
        value = self._row.get(column)
        values = list(value) if isinstance(value, list | tuple) else [value]
        made = [scalar(v, f"the column {column!r}") for v in values if not _is_blank(v)]
        if not made:
            raise DataError(f"the column {column!r} is empty")
        return tuple(made)

    def picture(self, column: str) -> bytes:
        """A picture that is written as base64; what stands for one on opening as it is."""
        value = self._row.get(column)
        if not value:
            raise DataError("the picture is empty")
        if isinstance(value, bytes):
            return value
        return decoded(value if isinstance(value, str) else str(value))

    def file(self, column: str, *folders: str) -> str:
        """The one picture file that a row names, by its path in the table's folder.

        Args:
            column: A path, or a list with one.
            folders: Where else it may be, in the table's folder.
        """
        path, *more = self.texts(column)
        if more:
            raise DataError(f"shows {1 + len(more)} pictures, and an episode has one original")
        if self._place is not None and not Path(path).is_absolute():
            for folder in folders:
                if (self._place.folder / folder / path).is_file():
                    return f"{folder}/{path}"
        return path

    def beside(self, column: str) -> Mapping[str, Any]:
        """The object of the JSON file beside a picture file; empty where there is none."""
        value = self._row.get(column)
        if self._place is None or not isinstance(value, str):
            return {}
        path = self._place.picture(value).with_suffix(".json")
        if not path.is_file():
            return {}
        found = parse_object(path.read_bytes())
        if isinstance(found, str):
            raise DataError(f"{path.name}, beside the picture, is {found}")
        return found

    def metadata(self, *columns: str) -> dict[str, Any]:
        """Columns as JSON's types; those of a nested ``metadata`` by their own names."""
        return {column: jsonable(self._row.get(column)) for column in columns}

    def nested(self, column: str) -> dict[str, Any]:
        """A cell that is a table of its own."""
        value = self._row.get(column)
        if not isinstance(value, Mapping):
            raise DataError(f"the column {column!r} must be a table, got {type(value).__name__}")
        return jsonable(value)

    def literal(self, column: str) -> tuple[str, ...]:
        """A list of texts that is written as Python writes it; empty for ``[]``."""
        text = self.text(column)
        try:
            value: object = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise DataError(f"the column {column!r} is no written list: {text[:60]!r}") from error
        if not isinstance(value, list):
            raise DataError(f"the column {column!r} is no written list: {text[:60]!r}")
        return tuple(str(item) for item in value)


def lettered(choices: Iterator[str] | tuple[str, ...]) -> str:
    """Options a line each, ``A. first``, without empty ones."""
    pairs = zip(LETTERS, choices, strict=False)
    return "\n".join(f"{letter}. {text}" for letter, text in pairs if text)


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
