"""A line of ``episodes.jsonl``: made from an episode, read back, and judged anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents import Episode, Reply
from experiments.files import json_rows
from vt_env import DataError, JudgeError, Query, Verdict
from vt_env.actions import Action, Answer, ToolCall
from vt_env.rewards import Outcome, RewardConfig, group_rewards

Row = dict[str, Any]
ALONE = RewardConfig(penalty="none")
"""The reward of an episode that has no group."""


def episode_row(episode: Episode) -> Row:
    """One line of ``episodes.jsonl``: JSON-serialisable, pictures by their sizes.

    The same seed gives the same rows: times are in ``result.json``.

    Raises:
        JudgeError: If the judge gave a score that is no number from 0 to 1.
    """
    sample, outcome = episode.sample, episode.outcome
    turns = [
        _turn_row(reply, action)
        for reply, action in zip(episode.replies, episode.actions, strict=True)
    ]
    return {
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
        "requested": outcome.requested,
        "futile_request": episode.futile,
        "visual_tokens": outcome.visual_tokens,
        "full_tokens": outcome.full_tokens,
        "generated_tokens": _sum([turn["tokens"] for turn in turns]),
        "views": [list(view.size) for view in episode.views],
        "reward": asdict(episode.reward),
    }


def _turn_row(reply: Reply, action: Action) -> dict[str, Any]:
    read = None if reply.prompt_ids is None else len(reply.prompt_ids)
    return {
        "text": reply.text,
        "action": _action_row(action),
        "tokens": reply.generated,
        "prompt_tokens": read,
        "forced_tokens": reply.forced,
        "truncated": reply.truncated,
    }


def _action_row(action: Action) -> dict[str, Any]:
    if isinstance(action, Answer):
        return {"type": "answer", "text": action.text}
    if isinstance(action, ToolCall):
        return {"type": "tool_call", "name": action.name, "arguments": dict(action.arguments)}
    return {"type": "malformed", "reason": action.reason}


def verdict_fields(verdict: Verdict, sample_id: str) -> dict[str, Any]:
    """What a row says of a verdict.

    Raises:
        JudgeError: If its score is no number from 0 to 1.
    """
    score = verdict.score
    if score is not None and not 0 <= score <= 1:
        raise JudgeError(
            f"the judge {verdict.judge!r} gave sample {sample_id!r} the score {score}; expected a "
            "number from 0 to 1, or correct=None where there is none"
        )
    return {
        "correct": verdict.correct,
        "score": score,
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


def _sum(numbers: list[int | None]) -> int | None:
    """``None`` where one is not known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_score(value: object) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)  # type: ignore[operator]


_TEXT = (lambda v: isinstance(v, str), "text")
_FLAG = (lambda v: v is None or isinstance(v, bool), "true, false or null")
_COUNT = (lambda v: v is None or _is_count(v), "a whole number from 0 up, or null")
_NEEDED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "id": (lambda v: isinstance(v, str) and v != "", "text that is not empty"),
    "question": _TEXT,
    "references": (lambda v: _is_texts(v) and bool(v), "a list of texts that is not empty"),
    "kind": _TEXT,
    "source": _TEXT,
    "answer": (lambda v: v is None or isinstance(v, str), "text or null"),
    "correct": _FLAG,
    "judge": _TEXT,
    "reason": _TEXT,
    "well_formed": _FLAG,
    "requested": _FLAG,
    "futile_request": _FLAG,
    "visual_tokens": _COUNT,
    "full_tokens": _COUNT,
}
_OPTIONAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "score": (_is_score, "a number from 0 to 1, or null"),
    "answer_type": _TEXT,
    "choices": (_is_texts, "a list of texts"),
    "generated_tokens": _COUNT,
}
"""What rows of earlier versions do not have."""


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of an ``episodes.jsonl``, checked.

    Raises:
        DataError: If it cannot be read, has no row, an id twice, or a row that is not as it should
            be, with its line.
    """
    seen: dict[str, int] = {}
    for number, row in json_rows(file):
        where = f"{file}, line {number}"
        _check(row, where)
        if (first := seen.setdefault(row["id"], number)) != number:
            raise DataError(f"{where}: the id {row['id']!r} stands in line {first} already")
        yield row
    if not seen:
        raise DataError(f"{file} has no rows")


def _check(row: Row, where: str) -> None:
    if missing := [key for key in _NEEDED if key not in row]:
        raise DataError(
            f"{where}: the row lacks {', '.join(missing)}; expected what vt eval writes into "
            "episodes.jsonl"
        )
    for key, (fits, expected) in {**_NEEDED, **_OPTIONAL}.items():
        if key in row and not fits(row[key]):
            raise DataError(f"{where}: {key} must be {expected}, got {row[key]!r}")
    if row["correct"] is None and row.get("score") is not None:
        raise DataError(f"{where}: an unscored row has the score {row['score']!r}")


def query_of(row: Row) -> Query | None:
    """What a judge is asked of a row; ``None`` if there is no answer."""
    if row["answer"] is None:
        return None
    return Query(
        row["question"],
        tuple(row["references"]),
        row["answer"],
        row.get("answer_type", ""),
        tuple(row.get("choices", ())),
        rollout=f"{row['id']}#0",
    )


_REWARDED = ("well_formed", "requested", "visual_tokens", "full_tokens")
"""What a reward is made of beside the verdict; null in episodes that were played elsewhere."""


def with_verdict(row: Row, verdict: Verdict) -> Row:
    """The row as another verdict makes it, its reward too, where what that needs is known."""
    told = [row[key] for key in _REWARDED]
    reward = None
    if None not in told:
        (reward,) = group_rewards([Outcome(verdict.correct, *told)], ALONE)
    return {
        **row,
        **verdict_fields(verdict, row["id"]),
        "reward": None if reward is None else asdict(reward),
    }
