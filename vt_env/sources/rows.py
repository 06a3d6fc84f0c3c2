"""One row of somebody's table, read as a sample; its cells as text, lists of texts, and JSON."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from vt_env.errors import DataError
from vt_env.samples import PictureLike, Sample
from vt_env.sources.base import Refusal
from vt_env.sources.columns import MISSING, ColumnTable, numbered_after, value_at

_ANSWER_TAGS = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL)
_LIST_LIMIT = 2**16
"""Characters of a list that is written as text."""

_LEVELS = 100
"""How deep a cell may be nested."""

_LITERALS = (tokenize.STRING, tokenize.NUMBER)
_PADDING = (tokenize.ENCODING, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)


def scalar(value: object, key: str) -> str:
    """Text, or a number as text.

    Raises:
        DataError: If there is none. A truth value is refused too: its wording would be a guess.
    """
    if isinstance(value, bool):
        raise DataError(f"{key} must be text, got {value}; write yes or no, or true or false")
    if not isinstance(value, str | int | float | Decimal):
        raise DataError(f"{key} must be text, got {type(value).__name__}")
    if isinstance(value, float) and math.isnan(value):
        raise DataError(f"{key} is not a number (NaN)")
    text = str(value)
    if not text.strip():
        raise DataError(f"{key} is empty")
    return text


def spoken(value: Any, key: str) -> str:
    """Text, also where it stands in the content blocks of a chat message.

    Raises:
        DataError: If there is none.
    """
    said: Any = cast("Mapping[str, Any]", value).get("content") if _is_message(value) else value
    if isinstance(said, list | tuple):
        texts = [_block_text(block) for block in cast("list[Any]", said)]
        if any(texts) and None not in texts:
            return scalar("\n".join(text for text in texts if text), key)
    return scalar(cast("object", said), key)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and "content" in value


def _block_text(block: Any) -> str | None:
    """The words of a block, ``""`` of a picture; ``None`` if it is no block."""
    if not isinstance(block, Mapping) or "type" not in block:
        return None
    text = cast("Mapping[str, Any]", block).get("text")
    return text if isinstance(text, str) else ""


def texts(value: Any, key: str) -> tuple[str, ...]:
    """One or more texts: a scalar, a chat message, a list, or a list of ``answer`` objects (VQA).

    Raises:
        DataError: If one is no text.
    """
    if value is None:
        return ()
    items = cast("list[Any]", value)
    is_list = isinstance(value, list | tuple)
    if not is_list or any(_block_text(item) is not None for item in items):
        return (spoken(value, key),)
    return tuple(
        scalar(cast("dict[str, Any]", item).get("answer") if isinstance(item, dict) else item, key)
        for item in items
    )


def written_list(value: Any) -> Any:
    """The list that a text spells as JSON, Python or NumPy write it; else the value itself."""
    if not isinstance(value, str) or len(value) > _LIST_LIMIT:
        return value
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return value
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        found = _literals(text)
        return value if found is None else found


def _literals(text: str) -> list[Any] | None:
    """The texts and numbers between brackets, with commas between them or without."""
    items: list[Any] = []
    sign = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(f"({text[1:-1]})").readline):
            if token.type in _LITERALS:
                items.append(ast.literal_eval(sign + token.string))
                sign = ""
            elif token.string == "-" and not sign:
                sign = "-"
            elif sign or not (token.type in _PADDING or token.string in ("(", ")", ",")):
                return None
    except (tokenize.TokenError, SyntaxError, ValueError, MemoryError, TypeError):
        return None
    return items if items and all(isinstance(item, str | int | float) for item in items) else None


def unwrap(text: str) -> str:
    """A reference without the answer tags that some releases keep around it."""
    match = _ANSWER_TAGS.fullmatch(text)
    return match[1].strip() if match else text


def jsonable(value: Any, levels: int = _LEVELS) -> Any:
    """A copy made of JSON's types; what JSON lacks becomes text.

    Args:
        value: Anything.
        levels: How deep it may be nested.

    Raises:
        DataError: If it is nested deeper.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if not isinstance(value, Mapping | list | tuple):
        return str(value)
    if not levels:
        raise DataError("nested too deeply")
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value)
        return {str(key): jsonable(item, levels - 1) for key, item in items.items()}
    return [jsonable(item, levels - 1) for item in cast("list[Any]", value)]


_MARK = "<image>"
_NUMBERED_MARK = re.compile(r"<image ?([0-9]{1,3})>")
_NUMBER = re.compile(r"(-?[0-9]{1,6})(?:\.0)?")
_LISTS = ("answers", "references")
"""Columns of references whose text may spell a list."""

_MOST_PICTURES = 64
_ID_LIMIT = 1000
_SHOWN = 200
"""Characters that an id has at most, and that an error repeats of a row's columns."""

Locate = Callable[[Any], PictureLike]
"""Turns the picture's value into a picture or raises DataError."""


def read_row(
    row: Mapping[str, Any], number: int, *, name: str, table: ColumnTable, locate: Locate
) -> Sample | Refusal:
    """A sample, or why there is none.

    Args:
        row: Column to value.
        number: Where the row is, for its id if it has none.
        name: The source's name.
        table: Column names by field, see :func:`~vt_env.sources.columns.column_table`.
        locate: Turns the picture's value into a picture or raises DataError.
    """
    label: str | int = number
    try:
        refuse_bad_unicode(row)
        id_column, value = _find(row, table["id"])
        label = sample_id = (
            f"{name.rpartition('/')[2]}-{number:06d}" if value is None else _id_of(value)
        )
        question_column, question = _need(row, "question", table["question"])
        references_column, accepted = _need(row, "references", table["references"])
        image_column, image = _need(row, "image", table["image"])
        further = numbered_after(image_column, row)
        pictures = _pictures([image, *_without_gap(row, further)])
        _refuse_longer(row, table["image"], image_column, len(pictures))
        used = {id_column, question_column, references_column, image_column, *further}
        optional: dict[str, str] = {}
        for key in ("source", "kind", "answer_type"):
            column, value = _find(row, table[key])
            optional[key] = "" if value is None else scalar(value, key)
            used.add(column)
        column, value = _find(row, table["choices"])
        used.add(column)
        choices = texts(written_list(value), "choices")
        if references_column.rpartition(".")[2] in _LISTS:
            accepted = written_list(accepted)
        references = tuple(unwrap(text) for text in texts(accepted, "references"))
        return Sample(
            id=sample_id,
            question=plain_question(spoken(question, "question"), len(pictures)),
            references=tuple(option_meant(text, choices) for text in references),
            image=locate(pictures[0]),
            source=optional["source"] or name,
            kind=optional["kind"],
            answer_type=optional["answer_type"],
            choices=choices,
            metadata={str(key): jsonable(row[key]) for key in row if key not in used},
            more_images=tuple(locate(picture) for picture in pictures[1:]),
        )
    except DataError as error:
        return Refusal(label, str(error))
    except RecursionError:
        return Refusal(label, "nested too deeply")


def plain_question(text: str, pictures: int = 1) -> str:
    """A question without the marks of the picture around it.

    A mark inside a sentence is a word of it, and stays as ``[image]``, which no model's tokenizer
    takes for a picture. So do numbered marks where there are several: ``[image 2]``.

    Args:
        text: The question.
        pictures: How many it has.

    Raises:
        DataError: If a numbered mark means none of them.
    """
    for mark in _NUMBERED_MARK.finditer(text):
        if not 1 <= int(mark[1]) <= pictures:
            raise DataError(f"the question names {mark[0]}, and pictures are 1 to {pictures}")
    text = _NUMBERED_MARK.sub(r"[image \1]" if pictures > 1 else _MARK, text)
    parts = text.split(_MARK)
    while parts and not parts[0].strip():
        parts.pop(0)
    while parts and not parts[-1].strip():
        parts.pop()
    return "[image]".join(parts).strip()


def option_meant(reference: str, choices: tuple[str, ...]) -> str:
    """The option that a reference names by its place from 0, else the reference itself.

    A number that is the text of an option is that option. An option that reads like the letter of
    one is named by its own letter.

    Raises:
        DataError: If it is a number, and neither an option nor a place of one.
    """
    match = _NUMBER.fullmatch(reference.strip())
    if not choices or match is None or reference.strip() in {text.strip() for text in choices}:
        return reference
    place = int(match[1])
    if not 0 <= place < len(choices):
        raise DataError(
            f"the answer {reference!r} is neither an option nor the place of one, "
            f"from 0 to {len(choices) - 1}"
        )
    text = choices[place].strip()
    return chr(ord("A") + place) if len(text) < 2 or choices.count(text) > 1 else text


def refuse_bad_unicode(row: Mapping[str, Any]) -> None:
    """Raise DataError for a row with text that cannot be written as UTF-8."""
    try:
        json.dumps(row, ensure_ascii=False, default=_nothing, skipkeys=True).encode()
    except UnicodeEncodeError as error:
        found = [key for key, value in row.items() if _is_torn(key) or _is_torn(value)]
        raise DataError(f"the column {found[0]!r:.{_SHOWN}} is not valid Unicode text") from error


def _nothing(_: Any) -> str:
    """What stands for a value that is no JSON: only texts are looked at."""
    return ""


def _is_torn(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False, default=_nothing, skipkeys=True).encode()
    except UnicodeEncodeError:
        return True
    return False


def _id_of(value: object) -> str:
    text = scalar(value, "id")
    if len(text) > _ID_LIMIT:
        raise DataError(f"id has {len(text)} characters, at most {_ID_LIMIT} are allowed")
    return text


def _find(row: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The first of the named columns that holds something, else the last present one."""
    found = ""
    for name in names:
        value = value_at(row, name)
        if value is not MISSING:
            if value not in (None, "", []):
                return name, value
            found = name
    return found, None


def _need(row: Mapping[str, Any], key: str, names: tuple[str, ...]) -> tuple[str, Any]:
    column, value = _find(row, names)
    if not column:
        present = ", ".join(map(str, row)) or "none"
        raise DataError(
            f"no {key}: expected a column {' or '.join(names)}, got {present:.{_SHOWN}}"
        )
    if value is None:
        raise DataError(f"the column {column!r} is empty")
    return column, value


def _without_gap(row: Mapping[str, Any], columns: Sequence[str]) -> list[Any]:
    """The cells of numbered columns, up to the first that is empty.

    Raises:
        DataError: If one has a picture after an empty one: numbers would mean other pictures.
    """
    cells = [row[name] for name in columns]
    filled = [cell not in (None, "", []) for cell in cells]
    if True in (rest := filled[sum(filled) :]):
        late = columns[sum(filled) + rest.index(True)]
        raise DataError(f"{late} has a picture, and {columns[filled.index(False)]} has none")
    return cells[: sum(filled)]


def _refuse_longer(
    row: Mapping[str, Any], names: Sequence[str], chosen: str, pictures: int
) -> None:
    """Refuse a row of which another column that could be meant has more pictures.

    Raises:
        DataError: With the column that says which is meant.
    """
    for name in names:
        other: Any = value_at(row, name)
        number = len(cast("list[Any]", other)) if isinstance(other, list | tuple) else 0
        if name != chosen and number > pictures:
            raise DataError(
                f"{chosen!r} has {pictures} of the pictures and {name!r} {number}: say which is "
                f"meant, columns=image:{chosen} or columns=image:{name}"
            )


def _pictures(cells: Sequence[Any]) -> list[Any]:
    """The pictures of some cells, each of which may have a list of them; empty ones are none."""
    found: list[Any] = []
    for cell in cells:
        if isinstance(cell, list | tuple):
            found += cast("list[Any]", cell)
        elif cell not in (None, ""):
            found.append(cell)
    if not 1 <= len(found) <= _MOST_PICTURES:
        raise DataError(f"expected 1 to {_MOST_PICTURES} pictures, got {len(found)}")
    return found
