"""``vt judge lmms:PATH``: sample logs as results, and our verdicts beside lmms-eval's.

Where our model played, what it was shown is joined from its *facts*, a JSONL file. Its first line
says what played: ``{"visionthink": 1, "agent": …, "mode": …, "protocol": …, "tokens": …, "seed":
…}``. Each other line is a request: ``task``, ``doc_id``, ``repeat`` (from 0), ``question``, and
what ``episodes.jsonl`` has of an episode that does not depend on the references: ``turns``,
``answer``, ``well_formed``, ``flaws``, ``requested``, ``futile_request``, ``visual_tokens``,
``full_tokens``, ``generated_tokens``, ``views``. Further ``returned``, what lmms-eval was given as
the answer, and ``agent_seconds``, this request's share of the time that the agent took for its
batch, and ``batch``, how many shared it. A request that could not be played has ``refused``, the
reason, in the place of all that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from experiments.benchmarks.base import check_variant
from experiments.benchmarks.suite import benchmark_metrics
from experiments.episodes import Judged, Row
from experiments.files import json_rows
from experiments.judging.recorded import Recording
from experiments.lmms.logs import (
    SUMMED,
    TASKS,
    Log,
    benchmark_of,
    find_logs,
    open_log,
    recorded_score,
)
from experiments.summary import score_of
from vt_env import ConfigError, DataError, Judge
from vt_env.specs import parse_spec

PREFIX = "lmms:"
FORMAT, HEAD = 1, "visionthink"
SEEN = (
    "turns", "well_formed", "flaws", "requested", "futile_request", "visual_tokens", "full_tokens",
    "generated_tokens", "views",
)  # fmt: skip
"""Of an episode: what is joined to a line of a sample log."""
_ABOUT = ("agent", "mode", "protocol", "tokens", "seed")
_SAME = 1e-6
"""Scores that differ by no more are the same."""


def recordings_of(
    spec: str, judge: str | None = None, variant: str | None = None, model: str | None = None
) -> list[Recording]:
    """The logs that ``lmms:PATH[,metric=NAME][,task=NAME][,facts=FILE]`` names, by task.

    ``lmms`` in the result of each has ``file``, ``task``, ``metric``, ``reported`` (what
    lmms-eval's metrics came to), ``mean`` of the recorded scores, ``unread`` (lines without one)
    and, where there is a judge, ``n`` lines with both verdicts, ``agree``, ``ours`` and ``theirs``
    (means over those n) and ``differ``: ``id``, ``lmms`` and ``ours`` (scores), ``answer``,
    ``references``, ``reason``. ``facts`` says what was joined.

    Args:
        spec: A log, or a folder with logs; ``metric``, the score that is taken, see
            :func:`~experiments.lmms.logs.open_log`; ``task``, only this one's log of the folder;
            and ``facts``: ``none`` does without, by default where the run's own ``results.json``
            says that they are.
        judge: Spec of who judges the answers anew; by default lmms-eval's verdicts stay.
        variant: In its stead: each task by the judge of the benchmark that it is.
        model: The judge that benchmarks ask whose metric needs a language model.
    """
    _, paths, options = parse_spec(spec)
    if len(paths) != 1 or options.keys() - {"metric", "task", "facts"}:
        raise ConfigError(
            f"expected lmms:PATH[,metric=NAME][,task=NAME][,facts=FILE], got {spec!r}"
        )
    metric, task, facts = (
        None if (value := options.get(key)) is None else str(value)
        for key in ("metric", "task", "facts")
    )
    logs = [open_log(path, metric) for path in find_logs(Path(paths[0]), task)]
    if task is not None and logs[0].task != task:
        raise DataError(f"{logs[0].path} is a log of {logs[0].task!r}, not of {task!r}")
    judges = [_judge(log, judge, variant, model) for log in logs]
    return [
        _recording(log, judge, _facts(log, facts), variant)
        for log, judge in zip(logs, judges, strict=True)
    ]


def _judge(
    log: Log, judge: str | None, variant: str | None, model: str | None
) -> str | Judge | None:
    """Who judges a log's answers."""
    if variant is not None:
        check_variant(variant)
        benchmark = benchmark_of(log.task)
        if benchmark is None:
            raise ConfigError(
                f"the task {log.task!r} is no benchmark that is known here, so it has no variant "
                f"{variant!r}: name a judge (--judge). Known: {', '.join(sorted(TASKS))}"
            )
        return benchmark.judge(variant, model)
    if judge is None and not log.metric:
        raise ConfigError(
            f"{log.path} records no score of a single line (what its metrics record is added up "
            "later): name who judges, --judge NAME, or --variant of a benchmark"
        )
    return judge


def _recording(
    log: Log, judge: str | Judge | None, facts: Facts | None, variant: str | None
) -> Recording:
    refused: list[dict[str, str]] = []

    def rows() -> Iterable[Row]:
        found = log.rows(refused)
        if facts is not None:
            found = facts.joined(found, refused)
        return found if judge is None else map(_silent, found)

    def more(rows: Sequence[Row]) -> dict[str, Any]:
        told: dict[str, Any] = {
            "file": str(log.path),
            "task": log.task,
            "metric": "/".join(log.metric) or None,
            "reported": dict(log.reported),
            **_beside(rows, judge is not None),
        }
        if facts is None:
            return {"lmms": told}
        joined = {"file": str(facts.path), "altered": facts.altered, "unused": len(facts.unused)}
        return {"agent_seconds": facts.seconds, "lmms": {**told, "facts": joined}}

    played = {} if facts is None else facts.about
    about = {
        "agent": log.settings.get("model") or "lmms-eval",
        **{key: played[key] for key in _ABOUT if key in played},
        "data": f"{PREFIX}{log.task}",
        "judge": f"lmms-eval:{'/'.join(log.metric)}",
        "episodes": str(log.path),
        "refusals": refused,
    }
    benchmark = benchmark_of(log.task) if variant and TASKS[log.task] in SUMMED else None
    metrics = benchmark and benchmark_metrics(benchmark, variant or "fixed")
    return Recording(log.task, rows, about, judge, metrics, more)


def _silent(row: Row) -> Row:
    """A row to be judged anew: one without an answer is wrong, whatever was recorded."""
    if row["answer"] is not None:
        return row
    verdict: Judged = {
        "correct": False, "score": 0.0, "judge": "protocol", "reason": "no answer"
    }  # fmt: skip
    return {**row, **verdict}


def _beside(rows: Sequence[Row], judged: bool) -> dict[str, Any]:
    """Our verdicts beside those that lmms-eval recorded."""
    recorded = [
        (row, theirs)
        for row in rows
        if (theirs := recorded_score(row["metadata"]["lmms"]["value"])) is not None
        and math.isfinite(theirs)
    ]
    made: dict[str, Any] = {
        "mean": _mean([theirs for _, theirs in recorded]),
        "unread": len(rows) - len(recorded),
    }
    if judged:
        both = [(row, t, ours) for row, t in recorded if (ours := score_of(row)) is not None]
        differ = [
            {
                **{"id": row["id"], "lmms": theirs, "ours": ours},
                **{key: row[key] for key in ("answer", "references", "reason")},
            }
            for row, theirs, ours in both
            if abs(ours - theirs) > _SAME
        ]
        made |= {
            "n": len(both),
            "agree": len(both) - len(differ),
            "ours": _mean([ours for _, _, ours in both]),
            "theirs": _mean([theirs for _, theirs, _ in both]),
            "differ": differ,
        }
    return made


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(slots=True)
class Facts:
    """The requests of one task.

    Attributes:
        path: The file.
        about: What played.
        by_doc: The first request about each document.
        unused: Documents that no line of a log was joined with so far.
        altered: Answers that the task's filters changed before they were scored.
        seconds: In the agent.
    """

    path: Path
    about: Mapping[str, Any]
    by_doc: Mapping[str, Mapping[str, Any]]
    unused: set[str]
    altered: int = 0
    seconds: float = 0.0

    @classmethod
    def read(cls, path: Path, task: str) -> Facts:
        """Those of one task."""
        rows = json_rows(path)
        _, about = next(rows, (0, {}))
        if about.get(HEAD) != FORMAT:
            raise DataError(
                f"{path}, line 1: expected {{{HEAD!r}: {FORMAT}, …}}, the first line of what the "
                "model visionthink writes to facts=FILE"
            )
        found: dict[str, Mapping[str, Any]] = {}
        for number, row in rows:
            where, needed = f"{path}, line {number}", ("task", "doc_id", "repeat")
            ours = not set(needed) - row.keys() and (row["task"], row["repeat"]) == (task, 0)
            if ours and "refused" not in row:
                needed = (*SEEN, "question", "returned", "agent_seconds")
            if missing := [key for key in needed if key not in row]:
                raise DataError(f"{where}: the line lacks {', '.join(missing)}")
            if ours and found.setdefault(str(row["doc_id"]), row) is not row:
                raise DataError(f"{where}: {task} has the doc_id {row['doc_id']!r} twice")
        if not found:
            raise DataError(f"{path} has no request of the task {task!r}")
        return cls(path, about, found, set(found))

    def joined(self, rows: Iterable[Row], refused: list[dict[str, str]]) -> Iterator[Row]:
        """Rows of a log, with what was seen and said.

        Args:
            rows: From the log.
            refused: Takes those that could not be played: lmms-eval scored an empty answer.
        """
        for row in rows:
            doc_id = row["id"].rpartition("/")[2]
            fact = self.by_doc.get(doc_id)
            if fact is None:
                raise DataError(
                    f"{self.path} has no facts of {row['id']}: was it answered from lmms-eval's "
                    "cache (--use_cache), or is the file another run's? facts=none does without"
                )
            self.unused.discard(doc_id)
            if "refused" in fact:
                told = {"id": row["id"], "kind": row["kind"], "source": row["source"]}
                refused.append({**told, "reason": fact["refused"]})
                continue
            if fact["question"] != row["question"]:
                raise DataError(
                    f"{self.path}: {row['id']} was asked {fact['question']!r:.80} there, and "
                    f"{row['question']!r:.80} in the log: the file is another run's"
                )
            self.altered += (row["answer"] or "").strip() != fact["returned"].strip()
            self.seconds += fact["agent_seconds"]
            yield cast("Row", {**row, **{key: fact[key] for key in SEEN}})


def _facts(log: Log, given: str | None) -> Facts | None:
    """What the plug-in wrote of a log's run; ``None`` of another model's run."""
    if given == "none":
        return None
    if given is not None:
        return Facts.read(Path(given), log.task)
    if log.settings.get("model") != "visionthink":
        return None
    arguments = str(log.settings.get("model_args", "")).split(",")
    parts = (part.strip().partition("=") for part in arguments)
    written = next((value.strip("\"'") for key, _, value in parts if key == "facts"), None)
    if written is None:
        return None
    for place in (Path(written), log.path.parent / Path(written).name):
        if place.is_file():
            return Facts.read(place, log.task)
    raise DataError(
        f"{log.path} is of a run with facts={written}, and there is no such file here: name it, "
        "vt judge lmms:PATH,facts=FILE, or do without, facts=none"
    )
