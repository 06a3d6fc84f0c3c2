"""From a row of each zoom benchmark's public table to the parts of a sample.

Where the answer is, is kept in the metadata: ``target_boxes``, and ``answer_box`` around all of
them, so that oracle crops and overlaps are possible.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.benchmarks.layouts import LETTERS, Cells, Item, lettered
from vt_env.errors import DataError
from vt_env.regions import Box
from vt_env.samples import FORM
from vt_env.sources.rows import plain_question, unwrap

_OPTION = re.compile(r"\s*\(([A-Z])\)\s*")
_LINE = re.compile(r"\s*^\(?([A-Z])[.)]\s*", re.M)
_REPEATED = re.compile(r"\n?Answer with the option's letter from the given choices directly\.\s*\Z")


def vstar(cells: Cells, variant: str, option_seed: int = 0) -> Item:
    """The boxes stand in a JSON file beside each picture, in the original repository only.

    In those files the right option is the first, and scripts that show them so have A right always;
    the rows have letters of their own. But for the official metric options are shuffled.
    """
    question, *parts = _OPTION.split(_REPEATED.sub("", cells.text("text")))
    letter = cells.text("label").strip().upper()
    number = cells.text("question_id")
    choices = _options(parts[0::2], parts[1::2])
    known: dict[str, Any] = {"category": cells.text("category")}
    if variant != "official":
        choices, letter, order = shuffled(choices, letter, f"vstar/{number}", option_seed)
        known |= {"options_order": order, "option_seed": option_seed}
    beside = cells.beside("image")
    boxes = [[x, y, x + w, y + h] for x, y, w, h in _quadruples(beside.get("bbox", []))]
    return _multiple_choice(
        question.strip(), choices, letter, cells.raw("image"), number, known["category"],
        {**known, "target_objects": beside.get("target_object", []), **targets(boxes)},
    )  # fmt: skip


def hrbench(cells: Cells, variant: str) -> Item:
    """Each question is there four times, its options rotated: ``cycle_category``.

    Nothing in a row numbers the question: its words, its options and its picture tell it.
    """
    choices, picture = _columns(cells, "ABCD"), cells.picture("image")
    question = cells.text("question").strip()
    known = {
        "cycle_category": cells.text("cycle_category"),
        "category": cells.text("category"),
        FORM: _digest(question, *sorted(choices), picture=picture),
    }
    return _multiple_choice(
        question, choices, cells.text("answer").strip(), picture, cells.text("index"),
        known["category"], known,
    )  # fmt: skip


def mme_realworld(cells: Cells, variant: str) -> Item:
    """Options are ``(A) …`` to ``(E) …``; the last says that the picture does not show it."""
    shown = cells.texts("multi-choice options")
    marked = [_OPTION.match(text.replace("（", "(").replace("）", ")")) for text in shown]
    choices = _options(
        [match[1] if match else "" for match in marked],
        [text[match.end() :] if match else "" for text, match in zip(shown, marked, strict=True)],
    )
    category = cells.text("category")
    task = "Perception" if "perception" in category.lower() else "Reasoning"
    known = {
        "task": task,
        "subtask": category.split("/")[-1],
        "l2_category": cells.optional("l2-category"),
    }
    options = "\n".join(shown)
    return Item(
        f"{cells.text('question')} The choices are listed below:\n{options}",
        (_right(cells.text("answer").strip(), choices),),
        cells.picture("bytes"),
        cells.text("index"),
        f"{task}/{known['subtask']}",
        "mcq",
        choices,
        known,
    )


def visualprobe(cells: Cells, variant: str) -> Item:
    """Open questions. Paths begin with the repository's name, which a copy has not."""
    path = cells.file("images")
    return Item(
        plain_question(cells.text("problem")),
        tuple(map(unwrap, cells.texts("solution"))),
        re.sub(r"^\.?/?VisualProbe_\w+/", "", path),
        cells.optional("doc_id"),
    )


def zoombench(cells: Cells, variant: str) -> Item:
    """Questions with options and open ones; ``has_crop`` says whether there is a second view.

    The box is in pixels. Options are known where lines of the question begin with their letters.
    """
    return _zoombench(cells, "image", targets(written_boxes(cells, "bbox")))


def zoombench_crop(cells: Cells, variant: str) -> Item:
    """The same questions about the part of the picture that they are about."""
    if cells.raw("crop_image") is None:
        raise DataError("has no cropped view")
    return _zoombench(cells, "crop_image", {})


def _zoombench(cells: Cells, column: str, where: Mapping[str, Any]) -> Item:
    question, answer = plain_question(cells.text("query")), cells.text("response").strip()
    kind, letter = cells.optional("question_type"), answer.strip("().")
    choices = _known_lines(question, letter) if kind == "mcq" else ()
    return Item(
        question, (letter if choices else answer,), cells.raw(column), cells.text("id"), kind,
        "mcq" if choices else "", choices,
        {"has_crop": cells.raw("crop_image") is not None, **where},
    )  # fmt: skip


def treebench(cells: Cells, variant: str) -> Item:
    """Boxes of all instances that the question is about, in pixels.

    Options keep their letters: of some questions they stand in the picture.
    """
    category = cells.text("category")
    return _multiple_choice(
        f"{cells.text('question')}\nOptions:", _columns(cells, LETTERS),
        cells.text("answer").strip(), cells.picture("image"), cells.text("index"), category,
        {"category": category, **targets(written_boxes(cells, "target_instances"))},
    )  # fmt: skip


def o3bench(cells: Cells, variant: str) -> Item:
    """Options are lines, the last of which says that none is right."""
    subset = cells.text("subset")
    return _multiple_choice(
        cells.text("question").strip(), _lines(cells.text("options")),
        cells.text("answer").strip(), cells.raw("file_name"), "", subset, {"subset": subset},
    )  # fmt: skip


def shuffled(
    choices: Sequence[str], right: str, key: str, seed: int = 0
) -> tuple[tuple[str, ...], str, str]:
    """Options in another order, the right one's new letter, and the old letters in the new order.

    The order depends on the key and the seed alone.
    """
    _right(right, choices)
    digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
    order: list[int] = np.random.default_rng(list(digest)).permutation(len(choices)).tolist()
    moved = tuple(choices[i] for i in order)
    return moved, LETTERS[order.index(LETTERS.index(right))], "".join(LETTERS[i] for i in order)


def _digest(*texts: str, picture: bytes) -> str:
    """What names a question that has no name: 16 hexadecimal digits."""
    made = hashlib.blake2b("\0".join(texts).encode(), digest_size=8)
    made.update(picture)
    return made.hexdigest()


def targets(boxes: Sequence[Sequence[float]]) -> dict[str, Any]:
    """What metadata say of where the answer is: every box, and the one around all of them.

    Raises:
        DataError: If one is none: left, top, right, bottom.
    """
    if not boxes:
        return {}
    for box in boxes:
        if not Box(*box).area:
            raise DataError(f"the target {box} has nothing inside")
    left, top, right, bottom = zip(*boxes, strict=True)
    around = [min(left), min(top), max(right), max(bottom)]
    return {"target_boxes": [list(box) for box in boxes], "answer_box": around}


def written_boxes(cells: Cells, column: str) -> list[list[float]]:
    """The boxes of a cell, which is one or a list of them, or the text of that; without any, none.

    Raises:
        DataError: If the cell is something else.
    """
    value: Any = cells.raw(column)
    if not isinstance(value, list | tuple):
        written = cells.optional(column) or "[]"
        try:
            value = ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise DataError(f"the column {column!r} is no list: {written[:60]!r}") from error
    one = isinstance(value, list | tuple) and any(isinstance(edge, int | float) for edge in value)
    return _quadruples([value] if one else value)


def _quadruples(value: Any) -> list[list[float]]:
    """Four numbers each."""
    try:
        boxes = [[float(edge) for edge in box] for box in value]
    except (TypeError, ValueError):
        boxes = [[]]
    if any(len(box) != 4 for box in boxes):
        raise DataError(f"the targets must be four numbers each, got {value!r:.80}")
    return boxes


def _columns(cells: Cells, letters: str) -> tuple[str, ...]:
    """The options that stand in columns of their own, up to the last that is there."""
    shown = [cells.option(letter) for letter in letters]
    while shown and not shown[-1]:
        shown.pop()
    return tuple(shown)


def _lines(text: str) -> tuple[str, ...]:
    """The options among the lines of a text."""
    _, *parts = _LINE.split(text)
    return _options(parts[0::2], parts[1::2])


def _known_lines(text: str, right: str) -> tuple[str, ...]:
    """The same, or none where the lines are none or the right one is not among them."""
    try:
        choices = _lines(text)
        _right(right, choices)
    except DataError:
        return ()
    return choices


def _options(letters: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """The texts of options that are lettered in order."""
    if "".join(letters) != LETTERS[: len(letters)] or len(letters) < 2 or not all(texts):
        raise DataError(f"the options must be lettered from A, got {', '.join(letters) or 'none'}")
    return tuple(text.strip() for text in texts)


def _right(letter: str, choices: Sequence[str]) -> str:
    at = LETTERS.find(letter) if len(letter) == 1 else -1
    if not 0 <= at < len(choices) or not choices[at]:
        raise DataError(f"the answer {letter!r} is none of the {len(choices)} options")
    return letter


def _multiple_choice(
    question: str, choices: Sequence[str], right: str, image: Any, name: str, kind: str,
    known: dict[str, Any],
) -> Item:  # fmt: skip
    options = tuple(choices)
    return Item(
        f"{question}\n{lettered(options)}", (_right(right, options),), image, name, kind, "mcq",
        options, known,
    )  # fmt: skip
