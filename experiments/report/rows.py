"""Episodes as files hold them, old and new: what is missing stays open, what is odd is noted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.report.records import Notes, Row, Turn
from experiments.report.text import shown
from vt_env import Answer, Malformed, ToolCall, parse

_TERMS = ("accuracy", "format", "penalty", "cost", "total")
_KNOWN = {
    "id", "question", "references", "kind", "source", "turns", "answer", "correct", "judge",
    "reason", "well_formed", "flaws", "requested", "futile_request", "visual_tokens",
    "full_tokens", "views", "reward", "step",
}  # fmt: skip
_MOST = 40
"""Turns, references, flaws and views of an episode that are kept."""
_MORE = 400
"""Characters of a field that this module does not know."""


def read_lines(path: Path, notes: Notes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSONL file with their line numbers; broken lines are noted and left out.

    An unfinished last line, as a run that goes on has it, is left out without a note.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                if line.endswith(b"\n"):
                    notes.add("a line that is no JSON was left out", f"{path}, line {number}")
                continue
            if isinstance(row, dict):
                yield number, row
            else:
                notes.add("a line that is no object was left out", f"{path}, line {number}")


def read_rows(path: Path, notes: Notes) -> list[Row]:
    """The episodes of ``episodes.jsonl``, as ``vt eval`` or a trainer writes it."""
    return [
        row_of(row, f"line {number}", Reader(f"{path}, line {number}", notes))
        for number, row in read_lines(path, notes)
    ]


class Reader:
    """Reads fields of one object; what has another type than expected is noted, not believed.

    Args:
        where: What notes say of the object's place.
        notes: Where they go.
    """

    def __init__(self, where: str, notes: Notes) -> None:
        self.where = where
        self.notes = notes

    def odd(self, key: str, expected: str) -> None:
        """Note a field that is not what it should be."""
        self.notes.add(f"{key!r} is not {expected}, shown as unknown", self.where)

    def text(self, row: Mapping[str, Any], key: str) -> str:
        """A text, empty where there is none."""
        value = row.get(key)
        if isinstance(value, str):
            return shown(value)
        if value is not None:
            self.odd(key, "text")
        return ""

    def texts(self, row: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = row.get(key)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(shown(item) for item in value[:_MOST])
        if value is not None:
            self.odd(key, "a list of texts")
        return ()

    def truth(self, row: Mapping[str, Any], key: str) -> bool | None:
        """True, false or unknown."""
        value = row.get(key)
        if value is None or isinstance(value, bool):
            return value
        self.odd(key, "true, false or null")
        return None

    def number(self, row: Mapping[str, Any], key: str) -> float | None:
        """A finite number."""
        value = row.get(key)
        if value is None:
            return None
        if is_number(value):
            return value
        self.odd(key, "a finite number")
        return None


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number that can be calculated with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 if isinstance(value, int) else math.isfinite(value)


def row_of(row: Mapping[str, Any], fallback: str, read: Reader) -> Row:
    """An episode from what a line holds.

    Args:
        row: The line.
        fallback: Its id if it has none.
        read: Reads its fields.
    """
    step = read.number(row, "step")
    answer = row.get("answer")
    return Row(
        id=read.text(row, "id") or fallback,
        question=read.text(row, "question"),
        references=read.texts(row, "references"),
        kind=read.text(row, "kind"),
        source=read.text(row, "source"),
        turns=_turns(row, read),
        answer=None if answer is None else read.text(row, "answer"),
        correct=read.truth(row, "correct"),
        judge=read.text(row, "judge"),
        reason=read.text(row, "reason"),
        well_formed=read.truth(row, "well_formed"),
        flaws=read.texts(row, "flaws"),
        requested=read.truth(row, "requested"),
        futile=read.truth(row, "futile_request") is True,
        visual_tokens=read.number(row, "visual_tokens"),
        full_tokens=read.number(row, "full_tokens"),
        views=_views(row, read),
        reward=_reward(row, read),
        step=None if step is None else int(step),
        more={shown(k, 60): _brief(v) for k, v in row.items() if k not in _KNOWN and v},
    )


def _turns(row: Mapping[str, Any], read: Reader) -> tuple[Turn, ...]:
    """Turns are texts, or objects with a text; what a text does is read as in an episode."""
    turns = row.get("turns")
    if turns is None:
        return ()
    if not isinstance(turns, list):
        read.odd("turns", "a list")
        return ()
    made: list[Turn] = []
    for turn in turns[:_MOST]:
        text = turn.get("text") if isinstance(turn, Mapping) else turn
        if isinstance(text, str):
            made.append(_turn(text))
        else:
            read.odd("turns", "a list of texts")
    if len(turns) > _MOST:
        made.append(Turn("", "malformed", f"{len(turns) - _MOST} further turns are not shown"))
    return tuple(made)


def _turn(text: str) -> Turn:
    match parse(text):
        case Answer() as action:
            return Turn(shown(action.thought), "answers", shown(action.text))
        case ToolCall() as action:
            call = json.dumps(dict(action.arguments), ensure_ascii=False)
            return Turn(shown(action.thought), "calls", shown(f"{action.name} {call}"))
        case Malformed() as action:
            return Turn(shown(text), "malformed", shown(action.reason))


def _views(row: Mapping[str, Any], read: Reader) -> tuple[tuple[int, int], ...]:
    views = row.get("views")
    if views is None:
        return ()
    if isinstance(views, list) and all(_is_size(view) for view in views):
        return tuple((view[0], view[1]) for view in views[:_MOST])
    read.odd("views", "a list of [width, height]")
    return ()


def _is_size(view: object) -> bool:
    return (
        isinstance(view, list)
        and len(view) == 2
        and all(isinstance(side, int) and 0 < side < 10**7 for side in view)
    )


def _reward(row: Mapping[str, Any], read: Reader) -> dict[str, float | None]:
    """The terms, or a total alone."""
    reward = row.get("reward")
    if isinstance(reward, Mapping):
        return {name: read.number(reward, name) for name in _TERMS if name in reward}
    return {} if reward is None else {"total": read.number(row, "reward")}


def _brief(value: Any) -> str:
    if isinstance(value, str):
        return shown(value, _MORE)
    return shown(json.dumps(value, ensure_ascii=False), _MORE)


def measured(row: Row) -> dict[str, Any]:
    """What :func:`experiments.summary.summarise` reads of an episode.

    Raises:
        ValueError: If the row lacks something of it.
    """
    needed = {
        "requested": row.requested,
        "well_formed": row.well_formed,
        "visual_tokens": row.visual_tokens,
        "full_tokens": row.full_tokens,
    }
    if missing := [name for name, value in needed.items() if value is None]:
        raise ValueError(f"episode {row.id} lacks {', '.join(missing)}")
    return {
        **needed,
        "kind": row.kind,
        "source": row.source,
        "correct": row.correct,
        "futile_request": row.futile,
    }
