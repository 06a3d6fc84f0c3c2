"""``vt eval --from lmms:PATH``: sample logs as results, and our verdicts beside lmms-eval's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from experiments.benchmarks.base import check_variant
from experiments.evaluation.recorded import score_rows
from experiments.evaluation.result import Result
from experiments.evaluation.rows import Row
from experiments.lmms.facts import ABOUT, Facts
from experiments.lmms.logs import Log, find_logs, open_log
from experiments.lmms.scores import recorded_score
from experiments.lmms.tasks import SUMMED, TASKS, benchmark_of
from experiments.summary import score_of
from vt_env import ConfigError, DataError, Judge, make_judge
from vt_env.judges import close
from vt_env.registry import parse_spec

PREFIX = "lmms:"
_SAME = 1e-6
"""Scores that differ by no more are the same."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``lmms:PATH[,metric=NAME][,task=NAME][,facts=FILE]`` says.

    Attributes:
        path: A log, or a folder with logs.
        metric: The score that is taken; see :func:`~experiments.lmms.logs.open_log`.
        task: Only this task's log of the folder.
        facts: What the plug-in wrote; ``none`` does without; by default where the run's own
            ``results.json`` says that it is.
    """

    path: Path
    metric: str | None = None
    task: str | None = None
    facts: str | None = None

    @classmethod
    def parse(cls, spec: str) -> Asked:
        """From the spec.

        Raises:
            ConfigError: If it has no path, or an option that there is not.
        """
        _, paths, options = parse_spec(spec)
        unknown = sorted(set(options) - {"metric", "task", "facts"})
        if len(paths) != 1 or unknown:
            raise ConfigError(
                f"expected lmms:PATH[,metric=NAME][,task=NAME][,facts=FILE], got {spec!r}"
            )
        return cls(Path(paths[0]), **{key: str(value) for key, value in options.items()})


def score_logs(
    asked: Asked,
    out: Path,
    judge: str | None = None,
    variant: str | None = None,
    model: str | None = None,
    *,
    seed: int = 0,
    told: Callable[[int], None] = lambda _: None,
) -> dict[str, Result]:
    """Write ``episodes.jsonl`` and ``result.json`` of each log, of several in a folder each.

    Args:
        asked: Which logs.
        out: A folder for the results.
        judge: Spec of who judges the answers anew; by default lmms-eval's verdicts stay.
        variant: In its stead: each task by the judge of the benchmark that it is.
        model: The judge that benchmarks ask whose metric needs a language model.
        seed: Seeds the bootstrap.
        told: Called with the documents done so far of a log.

    Returns:
        Results by task. ``lmms`` in each has ``file``, ``task``, ``metric``, ``reported`` (what
        lmms-eval's metrics came to), ``mean`` of the recorded scores, ``unread`` (lines without
        one) and, where there is a judge, ``n`` lines with both verdicts, ``agree``, ``ours`` and
        ``theirs`` (means over those n) and ``differ``: ``id``, ``lmms`` and ``ours`` (scores),
        ``answer``, ``references``, ``reason``. ``facts`` says what was joined.

    Raises:
        ConfigError: On an option that does not fit.
        DataError: If a log cannot be used.
        JudgeError: If too many judgements fail.
    """
    logs = [open_log(path, asked.metric) for path in find_logs(asked.path, asked.task)]
    if asked.task is not None and logs[0].task != asked.task:
        raise DataError(f"{logs[0].path} is a log of {logs[0].task!r}, not of {asked.task!r}")
    judges = {log.task: _judge(log, judge, variant, model) for log in logs}
    facts = {log.task: _facts(log, asked.facts) for log in logs}
    made: dict[str, Result] = {}
    for log in logs:
        folder = out / log.task if len(logs) > 1 else out
        folder.mkdir(parents=True, exist_ok=True)
        made[log.task] = _scored(
            log, folder, judges[log.task], facts[log.task], variant, seed, told
        )
    return made


def _judge(
    log: Log, judge: str | None, variant: str | None, model: str | None
) -> str | Judge | None:
    """Who judges a log's answers.

    Raises:
        ConfigError: If nobody can, or a variant is asked of a task that is no benchmark of ours.
    """
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


def _facts(log: Log, given: str | None) -> Facts | None:
    """What the plug-in wrote of a log's run.

    Raises:
        DataError: If the run says where, and it is not there.
    """
    if given == "none":
        return None
    if given is not None:
        return Facts.read(Path(given), log.task)
    if (written := facts_of(log.settings)) is None:
        return None
    places = [Path(written), log.path.parent / Path(written).name]
    for place in places:
        if place.is_file():
            return Facts.read(place, log.task)
    raise DataError(
        f"{log.path} is of a run with facts={written}, and there is no such file here: name it, "
        "--from lmms:PATH,facts=FILE, or do without, facts=none"
    )


def facts_of(settings: Mapping[str, Any]) -> str | None:
    """Where a run of the plug-in wrote its facts; ``None`` of another model's run."""
    if settings.get("model") != "visionthink":
        return None
    written = str(settings.get("model_args", ""))
    parts = [part.strip().partition("=") for part in written.split(",")]
    return next((value.strip("\"'") for key, _, value in parts if key == "facts"), None)


@dataclass(slots=True)
class _Beside:
    """Our verdicts beside those that lmms-eval recorded."""

    judged: bool
    recorded: list[float] = field(default_factory=list[float])
    both: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    differ: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    unread: int = 0

    def note(self, row: Row) -> None:
        """Take a row in, as it will be written."""
        theirs = recorded_score(row["metadata"]["lmms"]["value"])
        if theirs is None or not math.isfinite(theirs):
            self.unread += 1
            return
        self.recorded.append(theirs)
        ours = score_of(row)
        if not self.judged or ours is None:
            return
        self.both.append((ours, theirs))
        if abs(ours - theirs) > _SAME:
            told = {key: row[key] for key in ("answer", "references", "reason")}
            self.differ.append({"id": row["id"], "lmms": theirs, "ours": ours, **told})

    def numbers(self) -> dict[str, Any]:
        """What the result says."""
        made: dict[str, Any] = {"mean": _mean(self.recorded), "unread": self.unread}
        if self.judged:
            made |= {
                "n": len(self.both),
                "agree": len(self.both) - len(self.differ),
                "ours": _mean([ours for ours, _ in self.both]),
                "theirs": _mean([theirs for _, theirs in self.both]),
                "differ": self.differ,
            }
        return made


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _scored(
    log: Log,
    out: Path,
    judge: str | Judge | None,
    facts: Facts | None,
    variant: str | None,
    seed: int,
    told: Callable[[int], None],
) -> Result:
    refused: list[dict[str, str]] = []
    rows = log.rows(refused)
    if facts is not None:
        rows = facts.joined(rows, refused)
    played = facts.about if facts is not None else {}
    about = {
        "agent": log.settings.get("model") or "lmms-eval",
        **{key: played[key] for key in ABOUT if key in played},
        "data": f"{PREFIX}{log.task}",
        "judge": f"lmms-eval:{'/'.join(log.metric)}",
        "episodes": str(log.path),
        "refusals": refused,
    }
    beside = _Beside(judge is not None)
    asked = None if judge is None else make_judge(judge)
    benchmark = benchmark_of(log.task) if variant and TASKS[log.task] in SUMMED else None

    def more() -> dict[str, Any]:
        made: dict[str, Any] = {
            "file": str(log.path),
            "task": log.task,
            "metric": "/".join(log.metric) or None,
            "reported": dict(log.reported),
            **beside.numbers(),
        }
        if facts is not None:
            made["facts"] = {
                "file": str(facts.path), "altered": facts.altered, "unused": len(facts.unused)
            }  # fmt: skip
        seconds = {} if facts is None else {"agent_seconds": facts.seconds}
        return {**seconds, "lmms": made}

    try:
        return score_rows(
            rows if asked is None else map(_silent, rows),
            out,
            about,
            asked,
            seed=seed,
            metrics=benchmark and partial(benchmark.summary, variant=variant or "fixed"),
            told=told,
            noted=beside.note,
            more=more,
        )
    finally:
        if asked is not None:
            close(asked)


def _silent(row: Row) -> Row:
    """A row to be judged anew: one without an answer is wrong, whatever was recorded."""
    if row["answer"] is not None:
        return row
    verdict = {"correct": False, "score": 0.0, "judge": "protocol", "reason": "no answer"}
    return {**row, **verdict}
