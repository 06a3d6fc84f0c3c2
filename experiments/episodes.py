"""A line of ``episodes.jsonl``: its fields, made from an episode, read back, and judged anew.

Everything that reads episodes (evaluation, comparison, report, judging, sample logs of lmms-eval)
has rows of this schema. What a file does not say is ``None`` or empty in the row.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from agents import Episode, Reply
from experiments.files import json_rows
from trainers.errors import Damaged
from trainers.files import is_sealed, opened_line
from vt_env import DataError, JudgeError, Query, Verdict
from vt_env.actions import Action, Answer, ToolCall
from vt_env.regions import Region
from vt_env.rewards import Outcome, RewardConfig, group_rewards
from vt_env.samples import FORM
from vt_env.sources.repeated import REPEAT

ALONE = RewardConfig(penalty="none")
"""The reward of an episode that has no group."""


class Judged(TypedDict):
    """What a row says of a verdict."""

    correct: bool | None
    score: float | None
    judge: str
    reason: str


class Row(Judged):
    """One episode; see ``docs/evaluation.md`` for what each field says."""

    id: str
    question: str
    references: list[str]
    answer_type: str
    choices: list[str]
    kind: str
    source: str
    metadata: dict[str, Any]
    turns: list[dict[str, Any]]
    answer: str | None
    well_formed: bool | None
    flaws: list[str]
    calls: NotRequired[int | None]
    requested: bool | None
    futile_request: bool | None
    visual_tokens: int | None
    full_tokens: int | None
    generated_tokens: int | None
    text_tokens: int | None
    views: list[list[int]]
    regions: list[list[float] | None]
    reward: dict[str, float | None] | None
    partly_shown: NotRequired[str]
    repeat: NotRequired[dict[str, Any]]
    form_of: NotRequired[str]
    overlap: NotRequired[list[float]]
    step: NotRequired[int]


class Kind(NamedTuple):
    """A kind of values: whether one fits, and what is expected in words."""

    fits: Callable[[Any], bool]
    expected: str

    def or_null(self) -> Kind:
        """The same, or null."""
        return Kind(lambda v: v is None or self.fits(v), f"{self.expected} or null")

    def list_of(self, of: str) -> Kind:
        """A list of them, which are called so."""
        return Kind(lambda v: isinstance(v, list) and all(map(self.fits, v)), f"a list of {of}")


@dataclass(frozen=True, slots=True)
class Field:
    """What a field holds.

    Attributes:
        kind: Of its values.
        unknown: What stands where a file does not say it; ``...``: it may be absent.
        needed: Whether ``vt eval`` always wrote it; files of trainers may lack any.
    """

    kind: Kind
    unknown: Any = None
    needed: bool = True


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_whole(value: Any, least: int = 0, most: int = 10**15) -> bool:
    return type(value) is int and least <= value < most


_TEXT = Kind(lambda v: isinstance(v, str), "text")
_NAME = Kind(lambda v: isinstance(v, str) and v != "", "text that is not empty")
_TEXTS = _TEXT.list_of("texts")
_FLAG = Kind(lambda v: isinstance(v, bool), "true, false").or_null()
_COUNT = Kind(_is_whole, "a whole number from 0 up,").or_null()
_SIZE = Kind(
    lambda v: isinstance(v, list) and len(v) == 2 and all(_is_whole(s, 1, 10**7) for s in v),
    "[width, height]",
)
_REGION = Kind(
    lambda v: isinstance(v, list) and len(v) == 5 and all(map(_is_finite, v)), "five numbers"
).or_null()
_TURN = Kind(lambda v: isinstance(v, dict) and "text" in v, "a turn")
_REWARD = Kind(
    lambda v: isinstance(v, dict) and all(x is None or _is_finite(x) for x in v.values()),
    "an object of finite numbers,",
)
_SCORE = Kind(lambda v: _is_finite(v) and 0 <= v <= 1, "a number from 0 to 1,")

FIELDS: Mapping[str, Field] = {
    "id": Field(_NAME),
    "question": Field(_TEXT, ""),
    "references": Field(
        Kind(lambda v: _TEXTS.fits(v) and bool(v), "a list of texts that is not empty"), []
    ),
    "answer_type": Field(_TEXT, "", needed=False),
    "choices": Field(_TEXTS, [], needed=False),
    "kind": Field(_TEXT, ""),
    "source": Field(_TEXT, ""),
    "metadata": Field(Kind(lambda v: isinstance(v, dict), "an object"), {}, needed=False),
    "turns": Field(_TURN.list_of("turns, each with a text"), [], needed=False),
    "answer": Field(_TEXT.or_null()),
    "correct": Field(_FLAG),
    "score": Field(_SCORE.or_null(), ..., needed=False),
    "judge": Field(_TEXT, ""),
    "reason": Field(_TEXT, ""),
    "well_formed": Field(_FLAG),
    "flaws": Field(_TEXTS, [], needed=False),
    "calls": Field(_COUNT, needed=False),
    "requested": Field(_FLAG),
    "futile_request": Field(_FLAG),
    "visual_tokens": Field(_COUNT),
    "full_tokens": Field(_COUNT),
    "generated_tokens": Field(_COUNT, needed=False),
    "text_tokens": Field(_COUNT, needed=False),
    "views": Field(_SIZE.list_of("[width, height]"), [], needed=False),
    "regions": Field(
        _REGION.list_of("[picture, left, top, right, bottom], null where a view is of no part"),
        [], needed=False,
    ),
    "reward": Field(_REWARD.or_null(), needed=False),
    "partly_shown": Field(_NAME, ..., needed=False),
    "repeat": Field(
        Kind(
            lambda v: isinstance(v, dict) and isinstance(v.get("of"), str) and "number" in v,
            "an object with 'of' and 'number'",
        ),
        ..., needed=False,
    ),
    "form_of": Field(_NAME, ..., needed=False),
    "overlap": Field(_SCORE.list_of("numbers from 0 to 1"), ..., needed=False),
    "step": Field(Kind(lambda v: type(v) is int, "a whole number"), ..., needed=False),
}  # fmt: skip
"""In the order in which they are written."""


class Notes:
    """What had to be left out or could not be read: said on the page and in the terminal."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str = "") -> None:
        """Note something; the same thing in several places is one line."""
        self._counts[what] += 1
        self._first.setdefault(what, where)

    def lines(self) -> list[str]:
        """A sentence each, with how often and where first."""
        made: list[str] = []
        for what, count in self._counts.items():
            often = f"{count:,} times, first in " if count > 1 else ""
            where = self._first[what]
            made.append(f"{what} ({often}{where})" if where else what)
        return made


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of an ``episodes.jsonl`` that ``vt eval`` wrote, checked.

    Raises:
        DataError: If it cannot be read, has no row, an id twice, or a row that is not as it should
            be, with its line.
    """
    seen: dict[str, int] = {}
    for number, row in json_rows(file):
        where = f"{file}, line {number}"
        if missing := [name for name, f in FIELDS.items() if f.needed and name not in row]:
            raise DataError(
                f"{where}: the row lacks {', '.join(missing)}; expected what vt eval writes into "
                "episodes.jsonl"
            )
        made = _whole(row, where, None)
        if made["correct"] is None and made["score"] is not None:
            raise DataError(f"{where}: an unscored row has the score {made['score']!r}")
        if (first := seen.setdefault(made["id"], number)) != number:
            raise DataError(f"{where}: the id {made['id']!r} stands in line {first} already")
        yield made
    if not seen:
        raise DataError(f"{file} has no rows")


def shown_rows(file: Path, notes: Notes, within: str = "") -> list[Row]:
    """The rows of any ``episodes.jsonl``, a trainer's too; what is odd is noted and unknown.

    Args:
        file: The file.
        notes: Where it is said what is odd.
        within: The field of a line that is the row, as in a journal; lines without it hold none.
    """
    found = ((n, row.get(within) if within else row) for n, row in shown_lines(file, notes))
    return [
        _whole({"id": f"line {number}", **row}, f"{file}, line {number}", notes)
        for number, row in found
        if isinstance(row, dict)
    ]


def shown_lines(file: Path, notes: Notes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a JSONL file with their line numbers; broken lines are noted and left out.

    An unfinished last line, as a run that goes on has it, is left out without a note.
    """
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{file}, line {number}"
            try:
                row = opened_line(line, where) if is_sealed(line) else json.loads(line)
                fault = "" if isinstance(row, dict) else "a line that is no object was left out"
            except Damaged:
                row, fault = None, "a line that is not what was written was left out"
            except (ValueError, RecursionError):
                row, fault = None, "a line that is no JSON was left out"
            if not fault:
                yield number, cast("dict[str, Any]", row)
            elif line.endswith(b"\n"):
                notes.add(fault, where)


def row_of(**known: Any) -> Row:
    """A row of what is known; all else is unknown."""
    return _whole(known, "a row", None)


def _whole(row: dict[str, Any], where: str, notes: Notes | None) -> Row:
    """A row with all fields; one that does not fit is noted, or without ``notes`` an error."""
    turns = row.get("turns")
    if turns is not None and _TEXTS.fits(turns):  # as trainers write them
        row = {**row, "turns": [{"text": text} for text in turns]}
    if type(total := row.get("reward")) in (int, float):
        row = {**row, "reward": {"total": total}}
    made = dict(row)
    for name, field in FIELDS.items():
        fits, expected = field.kind
        if name in row and fits(row[name]):
            continue
        if name in row and (row[name] is not None or notes is None):
            if notes is None:
                raise DataError(f"{where}: {name} must be {expected}, got {row[name]!r:.80}")
            notes.add(f"{name!r} is not {expected}, shown as unknown", where)
        if field.unknown is ...:
            made.pop(name, None)
        else:
            made[name] = copy(field.unknown)
    if "score" not in made:
        made["score"] = None if made["correct"] is None else float(made["correct"])
    return cast("Row", made)


def episode_row(episode: Episode) -> Row:
    """One line of ``episodes.jsonl``: JSON-serialisable, pictures by their sizes.

    The same seed gives the same rows: times are in ``result.json``.
    """
    sample, outcome = episode.sample, episode.outcome
    turns = [
        _turn_row(*turn)
        for turn in zip(episode.replies, episode.actions, _views_by_turn(episode), strict=True)
    ]
    row: Row = {
        "id": sample.id,
        "question": sample.question,
        "references": list(sample.references),
        "answer_type": sample.answer_type,
        "choices": list(sample.choices),
        "kind": sample.kind,
        "source": sample.source,
        "metadata": plain(sample.metadata),
        "turns": turns,
        "answer": episode.answer,
        **verdict_fields(episode.verdict, sample.id),
        "well_formed": outcome.well_formed,
        "flaws": list(episode.flaws),
        "calls": outcome.calls,
        "requested": outcome.requested,
        "futile_request": episode.futile,
        "visual_tokens": outcome.visual_tokens,
        "full_tokens": outcome.full_tokens,
        "generated_tokens": _total(turn["tokens"] for turn in turns),
        "text_tokens": _total(reply.text_tokens for reply in episode.replies),
        "views": [list(view.size) for view in episode.views],
        "regions": [_region_row(view.region) for view in episode.views],
        "reward": asdict(episode.reward),
    }
    if overlaps := [view.overlap for view in episode.views if view.overlap is not None]:
        row["overlap"] = overlaps
    if episode.partly_shown:
        row["partly_shown"] = episode.partly_shown
    if REPEAT in row["metadata"]:
        row["repeat"] = row["metadata"].pop(REPEAT)
    if FORM in row["metadata"]:
        row["form_of"] = str(row["metadata"].pop(FORM))
    return row


def _total(counts: Iterable[int | None]) -> int | None:
    """Their sum, if all are known."""
    known = list(counts)
    return None if None in known else sum(filter(None, known))


def _views_by_turn(episode: Episode) -> list[int]:
    """How many views each turn was answered with."""
    made = [0] * len(episode.replies)
    turn = -1
    for message in episode.messages:
        if message["role"] == "assistant":
            turn += 1
        elif turn >= 0:
            made[turn] += sum(block["type"] == "image" for block in message["content"])
    return made


def _turn_row(reply: Reply, action: Action, views: int) -> dict[str, Any]:
    return {
        "text": reply.text,
        "action": action_row(action),
        "tokens": reply.generated,
        "prompt_tokens": None if reply.prompt_ids is None else len(reply.prompt_ids),
        "forced_tokens": reply.forced,
        "truncated": reply.truncated,
        "asking": reply.asking,
        "views": views,
    }


def action_row(action: Action) -> dict[str, Any]:
    """What a turn was read as."""
    if isinstance(action, Answer):
        return {"type": "answer", "text": action.text}
    if isinstance(action, ToolCall):
        row = {"type": "tool_call", "name": action.name, "arguments": dict(action.arguments)}
        also = [{"name": call.name, "arguments": dict(call.arguments)} for call in action.also]
        return {**row, "also": also} if also else row
    return {"type": "malformed", "reason": action.reason}


def _region_row(region: Region | None) -> list[float] | None:
    """A view's picture, from 0, and the edges of the part it shows, in that picture's pixels."""
    return None if region is None else [region.picture, *region.box.edges]


def verdict_fields(verdict: Verdict, sample_id: str) -> Judged:
    """What a row says of a verdict."""
    if verdict.score is not None and not 0 <= verdict.score <= 1:
        raise JudgeError(
            f"the judge {verdict.judge!r} gave sample {sample_id!r} the score {verdict.score}; "
            "expected a number from 0 to 1, or correct=None where there is none"
        )
    return {
        "correct": verdict.correct,
        "score": verdict.score,
        "judge": verdict.judge,
        "reason": verdict.reason,
    }


def plain(value: Any) -> Any:
    """A value as JSON has it: what it has no form for, NaN among it, as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    finite = isinstance(value, float) and math.isfinite(value)
    return value if finite or isinstance(value, str | int | bool | None) else str(value)


def query_of(row: Row) -> Query | None:
    """What a judge is asked of a row; ``None`` if there is no answer."""
    if row["answer"] is None:
        return None
    return Query(
        row["question"],
        tuple(row["references"]),
        row["answer"],
        row["answer_type"],
        tuple(row["choices"]),
        rollout=f"{row['id']}#0",
    )


def with_verdict(row: Row, verdict: Verdict) -> Row:
    """The row as another verdict makes it, its reward too, where what that needs is known."""
    rewarded = [row["well_formed"], row["requested"], row["visual_tokens"], row["full_tokens"]]
    reward = None
    if None not in rewarded:
        (reward,) = group_rewards([Outcome(verdict.correct, *cast("list[Any]", rewarded))], ALONE)
    return {
        **row,
        **verdict_fields(verdict, row["id"]),
        "reward": None if reward is None else asdict(reward),
    }
