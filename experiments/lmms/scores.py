"""What lmms-eval's metrics recorded for a line, as a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.lmms.tasks import benchmark_of
from vt_env import ConfigError, DataError


def recorded_score(value: Any) -> float | None:
    """The number that a metric recorded for a line; ``None`` where it recorded something else.

    NaN is a number: a score that is none, and no other kind of field.
    """
    if isinstance(value, Mapping):
        value = value.get("score")
    return float(value) if isinstance(value, bool | int | float) else None


def recorded_verdict(name: str, value: Any, answer: str | None) -> dict[str, Any]:
    """The verdict that lmms-eval recorded: right from half of the full score on."""
    score, judge = recorded_score(value), f"lmms-eval:{name}" if name else "lmms-eval"
    if score is None:
        reason = f"no score of {name} is recorded" if name else "no score is recorded"
        return {"correct": None, "score": None, "judge": judge, "reason": reason}
    if not 0 <= score <= 1:
        reason = f"recorded as {score}, which is no score from 0 to 1"
        return {"correct": None, "score": None, "judge": judge, "reason": reason}
    reason = "as recorded" if answer is not None else "as recorded; the answer is empty"
    return {"correct": score >= 0.5, "score": score, "judge": judge, "reason": reason}


def metric_fields(
    path: Path,
    task: str,
    given: str | None,
    fields: Sequence[tuple[int, Sequence[str]]],
    scored: Sequence[str],
    others: Sequence[str],
) -> tuple[str, ...]:
    """Which fields hold the score of a line: one, or of a benchmark whose lines have one each, all.

    Args:
        path: The log, for messages.
        task: Its task.
        given: The one that is asked for.
        fields: Each line's number, and its metrics' names.
        scored: Metrics with a score in some line.
        others: Metrics without.

    Raises:
        ConfigError: If ``given`` is none, or none is given and there are several.
        DataError: If lines have different ones, or some line has none.
    """
    if given is not None:
        if given not in (*scored, *others):
            known = ", ".join(dict.fromkeys([*scored, *others])) or "none"
            raise ConfigError(f"{path} has no metric {given!r}; it has: {known}")
        return (given,)
    benchmark = benchmark_of(task)
    if benchmark is not None and benchmark.headline in scored:
        return (benchmark.headline,)
    if not scored:
        return ()
    if len(scored) > 1 and not (benchmark and _apart(fields, scored)):
        if _apart(fields, scored):
            raise DataError(
                f"{path}: its lines have scores by different metrics ({', '.join(scored)}): lines "
                "of several tasks in one file? Take it apart, or name one: "
                "--from lmms:PATH,metric=NAME leaves the others unscored"
            )
        raise ConfigError(
            f"{path} has several scores a line: {', '.join(scored)}. Choose one: "
            "--from lmms:PATH,metric=NAME"
        )
    for number, names in fields:
        if not set(scored) & set(names):
            raise DataError(
                f"{path}, line {number}: it has no {' or '.join(scored)} as other lines have: "
                f"lines of several tasks in one file? It has {', '.join(names) or 'no metric'}"
            )
    return tuple(scored)


def _apart(fields: Sequence[tuple[int, Sequence[str]]], names: Sequence[str]) -> bool:
    """Whether no line has more than one of these."""
    return all(len(set(names) & set(one)) <= 1 for _, one in fields)
