"""Episodes that are on disk already, summed up, and judged anew if a judge is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.evaluation.journal import EPISODES, RESULT
from experiments.evaluation.player import Metrics
from experiments.evaluation.result import Result, read_result, slim, summarised
from experiments.evaluation.rows import Row, query_of, read_rows, with_verdict
from experiments.files import json_line, whole_file, write_json
from experiments.judging import judged
from experiments.provenance import provenance
from vt_env import ConfigError, DataError, Judge, Query
from vt_env.judges.models import usage_of

_KEPT = (
    *("agent", "data", "protocol", "mode", "rate", "tokens", "seconds", "agent_seconds"),
    "episodes",
)
"""What of the result beside the recorded episodes is still true of them."""


def score_recorded(
    file: Path,
    out: Path,
    judge: Judge | None = None,
    *,
    seed: int = 0,
    metrics: Metrics | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> Result:
    """Write ``episodes.jsonl`` and ``result.json`` of recorded episodes; no model plays.

    Args:
        file: An ``episodes.jsonl``, or a folder that holds one.
        out: A folder for the results, not the one that is read.
        judge: Who judges the answers anew; by default the verdicts stay as they are. An episode
            without an answer stays wrong.
        seed: Seeds the bootstrap.
        metrics: Further numbers, from whole rows.
        told: Called with the rows done so far.

    Raises:
        ConfigError: If results would replace what is read.
        DataError: On a row that cannot be used, with its line.
        JudgeError: If too many judgements fail, or a score is none.
    """
    file = recorded_file(file)
    if (out / EPISODES).exists() and (out / EPISODES).samefile(file):
        raise ConfigError(f"--out {out} holds the episodes that are read; choose another folder")
    before = read_result(file.parent) if (file.parent / RESULT).exists() else {}
    about = {**before, "episodes": str(file)}
    return score_rows(read_rows(file), out, about, judge, seed=seed, metrics=metrics, told=told)


def score_rows(
    rows: Iterable[Row],
    out: Path,
    about: Mapping[str, Any],
    judge: Judge | None = None,
    *,
    seed: int = 0,
    metrics: Metrics | None = None,
    told: Callable[[int], None] = lambda _: None,
    noted: Callable[[Row], None] = lambda _: None,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> Result:
    """Write ``episodes.jsonl`` and ``result.json`` of rows; see :func:`score_recorded`.

    Args:
        rows: As :func:`~experiments.evaluation.rows.read_rows` yields them.
        out: A folder for the results.
        about: What is known of them: ``episodes``, where they stood, ``agent``, ``data``,
            ``refusals``, ….
        judge: Who judges the answers anew; by default the verdicts stay as they are.
        seed: Seeds the bootstrap.
        metrics: Further numbers, from whole rows.
        told: Called with the rows done so far.
        noted: Called with every row as it is written.
        more: Further fields of the result, asked for when all rows are read.
    """
    kept: list[Row] = []
    with whole_file(out / EPISODES) as stream:
        for row in _with_verdicts(rows, judge):
            stream.write(json_line(row))
            noted(row)
            kept.append(row if metrics else slim(row))
            told(len(kept))
    refused = about.get("refusals", [])
    result = {
        **summarised(kept, refused, seed, metrics),
        **{key: about[key] for key in _KEPT if key in about},
        "judge": judge.name if judge else about.get("judge"),
        **({"judging": usage.numbers()} if judge and (usage := usage_of(judge)) else {}),
        "refusals": refused,
        **more(),
        "provenance": provenance(seed, about.get("provenance", {}).get("data")),
    }
    write_json(out / RESULT, result)
    return result


def recorded_file(path: Path) -> Path:
    """The file of episodes at a path.

    Raises:
        DataError: If a folder holds none; where its folders do, they are named.
    """
    if not path.is_dir():
        return path
    if (path / EPISODES).exists():
        return path / EPISODES
    inside = sorted(str(found.parent) for found in path.glob(f"*/{EPISODES}"))
    hint = f"; choose one of {', '.join(inside)}" if inside else ""
    raise DataError(f"{path} holds no {EPISODES}{hint}")


def _with_verdicts(rows: Iterable[Row], judge: Judge | None) -> Iterator[Row]:
    """The rows, in order, as the judge's verdicts make them."""
    if judge is None:
        yield from rows
        return
    silent: list[tuple[int, Row]] = []

    def asked() -> Iterator[tuple[tuple[int, Row], Query]]:
        for place, row in enumerate(rows):
            query = query_of(row)
            if query is None:
                silent.append((place, row))
            else:
                yield (place, row), query

    def waiting(until: int | None) -> Iterator[Row]:
        while silent and (until is None or silent[0][0] < until):
            yield silent.pop(0)[1]

    for (place, row), verdict in judged(asked(), judge):
        yield from waiting(place)
        yield with_verdict(row, verdict)
    yield from waiting(None)
