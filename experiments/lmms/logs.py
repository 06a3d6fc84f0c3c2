"""The sample logs that lmms-eval 0.7.3 writes with ``--log_samples``.

``DATE_samples_TASK.jsonl`` has a line a document: ``doc_id``; ``input``, the question as it was
asked; ``target`` as text, a list as Python writes it; ``filtered_resps``, the answer as it was
scored; ``resps``, as the model gave it, where that is another; ``token_counts``, ``doc_hash``,
``input_media``; and under the names of the task's metrics what each made of it: a number, or an
object with a ``score``, or whatever the task adds up later. ``DATE_results.json`` beside it has the
command's settings and what the metrics came to.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks import BENCHMARKS, Benchmark
from experiments.benchmarks.layouts import LETTERS
from experiments.episodes import Row, plain, row_of
from experiments.files import json_object, json_row
from vt_env import ConfigError, DataError

TASKS: Mapping[str, str] = {
    **{name: name for name in ("chartqa", "ocrbench", "mme", "mmvet", "realworldqa", "pope")},
    "docvqa_val": "docvqa",
    **{f"mathvista_testmini_{form}": "mathvista" for form in ("cot", "format", "solution")},
    "mathverse_testmini": "mathverse",
    "mathverse_testmini_vision_only": "mathverse-vision",
    "mmmu_val": "mmmu",
    "mmbench_en_dev": "mmbench",
    "mmbench_en_dev_static": "mmbench",
}
"""The benchmark of each task."""
SUMMED = ("chartqa", "ocrbench", "docvqa", "mme", "realworldqa", "pope", "mmmu")
"""Benchmarks whose own numbers can be made of a log: it holds all that they need."""
_KINDS = ("category", "question_type", "subdomain")
"""What of a metric's object is the kind of a question, the first that is there."""
_LEFT = ("score", "prediction", "parsed_pred", "pred", "ground_truth", "answer")
"""What of it is not the sample's."""
_OPTION = re.compile(r"^([A-Z])\. (.*)$", re.MULTILINE)
_FORMULA = "Handwritten Mathematical Expression Recognition"
_NAME = re.compile(r"(\d{8}_\d{6})_samples_(.+)\.jsonl")
_NEEDED = ("doc_id", "target", "filtered_resps", "input")
_OWN = {*_NEEDED, "doc", "arguments", "resps", "token_counts", "doc_hash", "input_media"}
"""Fields that are no metric's."""

Line = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Log:
    """One sample log.

    Attributes:
        path: The file.
        task: Its task.
        lines: Its lines, checked.
        metric: The fields that hold the score of a line: one, or where each line has just one of
            several, all of them. Empty where no line has a score.
        settings: ``config`` of the run's ``results.json``; empty where there is none.
        reported: What the task's metrics came to, as lmms-eval reported it.
    """

    path: Path
    task: str
    lines: Sequence[Line]
    metric: tuple[str, ...]
    settings: Mapping[str, Any]
    reported: Mapping[str, float]

    def rows(self, refused: list[dict[str, str]]) -> Iterator[Row]:
        """A row of ``episodes.jsonl`` a document, with the verdict that lmms-eval recorded.

        What the log does not say (views, visual tokens, format) is null.

        Args:
            refused: Takes documents without a target: there is nothing to judge them by.
        """
        for line in self.lines:
            row = self._row(line)
            if row["references"]:
                yield row
            else:
                told = {key: row[key] for key in ("id", "kind", "source")}
                refused.append({**told, "reason": "its target is empty: nothing to judge it by"})

    def _row(self, line: Line) -> Row:
        name = next((name for name in self.metric if name in line), "")
        value, text = line.get(name), _unwrapped(line["filtered_resps"])
        answer = text if text.strip() else None  # there is nothing to judge
        told = _told(self.task, {key: value for key, value in line.items() if key not in _OWN})
        kind, accepted = told.pop("kind"), references(line["target"])
        answer_type, choices = _asked_as(self.task, line["input"], accepted, kind)
        return row_of(
            id=f"{self.task}/{line['doc_id']}",
            question=line["input"],
            **({"references": list(accepted)} if accepted else {}),
            answer_type=answer_type,
            choices=choices,
            kind=kind,
            source=self.task,
            metadata={**told, "lmms": {"metric": name, "value": plain(value)}},
            answer=answer,
            **_recorded_verdict(name, value, answer),
            generated_tokens=_generated(line.get("token_counts")),
        )


def benchmark_of(task: str) -> Benchmark | None:
    """The benchmark that a task is, if it is one of ours."""
    return BENCHMARKS.make(TASKS[task]) if task in TASKS else None


def find_logs(path: Path, task: str | None = None) -> list[Path]:
    """The sample logs at a path, of each task one.

    Args:
        path: A file, or a folder given to lmms-eval as ``--output_path``.
        task: Only this task's.
    """
    if not path.is_dir():
        return [path]
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*.jsonl")):
        if (match := _NAME.fullmatch(file.name)) and task in (None, match[2]):
            found.setdefault(match[2], []).append(file)
    if not found:
        raise DataError(
            f"{path} holds no sample log{f' of {task}' if task else ''}: expected "
            "DATE_samples_TASK.jsonl, which lmms-eval writes with --log_samples --output_path"
        )
    if several := [files for files in found.values() if len(files) > 1]:
        raise DataError(
            f"{path} holds several runs of a task; choose one of {', '.join(map(str, several[0]))}"
        )
    return [files[0] for files in found.values()]


def open_log(path: Path, metric: str | None = None) -> Log:
    """Read a log and check every line.

    Args:
        path: The file.
        metric: The field that holds a line's score; by default the only one that does, or the
            headline of a benchmark that is known here.

    Raises:
        ConfigError: If ``metric`` is none of the log's, or none is given and there are several.
        DataError: If a line is not as lmms-eval writes it, with its number.
    """
    match = _NAME.fullmatch(path.name)
    date, task = (match[1], match[2]) if match else ("", path.stem)
    lines = dict(_lines(path))
    first: dict[str, int] = {}
    for number, line in lines.items():
        _check(line, f"{path}, line {number}")
        if (before := first.setdefault(str(line["doc_id"]), number)) != number:
            raise DataError(
                f"{path}, line {number}: the doc_id {line['doc_id']!r} stands in line {before} "
                "already: two runs appended to one file, two tasks in one, or a task with several "
                "filters, whose lines do not say which filter they are of"
            )
    if not lines:
        raise DataError(f"{path} has no lines")
    file = path.with_name(f"{date}_results.json")
    results = json_object(file) if date and file.is_file() else {}
    reported = results.get("results", {}).get(task, {})
    return Log(
        path,
        task,
        list(lines.values()),
        _metric(path, task, metric, lines),
        results.get("config", {}),
        {name: v for name, v in reported.items() if type(v) in (int, float) and math.isfinite(v)},
    )


def _lines(path: Path) -> Iterator[tuple[int, Line]]:
    """The objects of a log with their line's number."""
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                where = f"{path}, line {number}"
                try:
                    if line.strip():
                        yield number, json_row(line, where)
                except DataError as error:
                    if line.endswith("\n"):
                        raise
                    raise DataError(
                        f"{where}: the last line breaks off, so the log is not whole (a full disk, "
                        "or lmms-eval was stopped): run it again, or take the line out"
                    ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(f"cannot read {path}: {reason}") from error


def _check(line: Line, where: str) -> None:
    if missing := [name for name in _NEEDED if name not in line]:
        raise DataError(
            f"{where}: the line lacks {', '.join(missing)}; expected a sample log of lmms-eval "
            "0.7 (DATE_samples_TASK.jsonl, written with --log_samples)"
        )
    if type(line["doc_id"]) not in (int, str) or line["doc_id"] == "":
        raise DataError(f"{where}: doc_id must be a number or a text, got {line['doc_id']!r}")
    for name in ("target", "input"):
        if not isinstance(line[name], str):
            raise DataError(f"{where}: {name} must be text, got {line[name]!r:.80}")
    if not isinstance(_unwrapped(line["filtered_resps"]), str):
        raise DataError(
            f"{where}: filtered_resps must be one text, got {line['filtered_resps']!r:.80}: only "
            "tasks of generate_until with one answer a document can be judged (no multiple_choice "
            "by likelihood, no several rounds)"
        )


def _metric(path: Path, task: str, given: str | None, lines: Mapping[int, Line]) -> tuple[str, ...]:
    """Which fields hold the score of a line: one, or of a benchmark whose lines have one each, all.

    Args:
        path: The log, for messages.
        task: Its task.
        given: The one that is asked for.
        lines: By their numbers.
    """
    every = dict.fromkeys(name for line in lines.values() for name in line if name not in _OWN)
    scored = [n for n in every if any(recorded_score(x.get(n)) is not None for x in lines.values())]
    if given is not None:
        if given not in every:
            known = ", ".join(sorted(every, key=lambda name: name not in scored)) or "none"
            raise ConfigError(f"{path} has no metric {given!r}; it has: {known}")
        return (given,)
    benchmark = benchmark_of(task)
    if benchmark is not None and benchmark.headline in scored:
        return (benchmark.headline,)
    apart = all(sum(name in line for name in scored) <= 1 for line in lines.values())
    if len(scored) > 1 and not (benchmark and apart):
        if apart:
            raise DataError(
                f"{path}: its lines have scores by different metrics ({', '.join(scored)}): lines "
                "of several tasks in one file? Take it apart, or name one: "
                "vt judge lmms:PATH,metric=NAME leaves the others unscored"
            )
        raise ConfigError(
            f"{path} has several scores a line: {', '.join(scored)}. Choose one: "
            "vt judge lmms:PATH,metric=NAME"
        )
    for number, line in lines.items():
        if scored and not any(name in line for name in scored):
            has = ", ".join(name for name in line if name not in _OWN) or "no metric"
            raise DataError(
                f"{path}, line {number}: it has no {' or '.join(scored)} as other lines have: "
                f"lines of several tasks in one file? It has {has}"
            )
    return tuple(scored)


def recorded_score(value: Any) -> float | None:
    """The number that a metric recorded for a line; ``None`` where it recorded something else.

    NaN is a number: a score that is none, and no other kind of field.
    """
    if isinstance(value, Mapping):
        value = value.get("score")
    return float(value) if isinstance(value, bool | int | float) else None


def _recorded_verdict(name: str, value: Any, answer: str | None) -> dict[str, Any]:
    """The verdict that lmms-eval recorded: right from half of the full score on."""
    score, judge = recorded_score(value), f"lmms-eval:{name}" if name else "lmms-eval"
    if score is not None and 0 <= score <= 1:
        reason = "as recorded" if answer is not None else "as recorded; the answer is empty"
        return {"correct": score >= 0.5, "score": score, "judge": judge, "reason": reason}
    reason = f"no score{f' of {name}' if name else ''} is recorded"
    if score is not None:
        reason = f"recorded as {score}, which is no score from 0 to 1"
    return {"correct": None, "score": None, "judge": judge, "reason": reason}


def _generated(counts: Any) -> int | None:
    """The generated tokens of the one request, where the model counted them."""
    if not isinstance(counts, list) or len(counts) != 1 or not isinstance(counts[0], Mapping):
        return None
    said = counts[0].get("output_tokens")
    return said if type(said) is int and said >= 0 else None


def _unwrapped(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) and len(answer) == 1 else answer


def references(target: str) -> tuple[str, ...]:
    """The accepted answers: a written list of texts is several; any other text is one.

    Returns:
        None at all if the target is empty, or the word ``None`` that stands for it.
    """
    if target.startswith("[") and target.endswith("]"):
        try:
            value: object = ast.literal_eval(target)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = None
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(item for item in value if item.strip())
    return () if target.strip() in ("", "None") else (target,)


def _told(task: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A sample's ``kind``, and metadata, as far as the metrics' objects tell."""
    name = TASKS.get(task)
    if name == "chartqa":  # of which part a row is shows in which metrics it has
        human = "relaxed_human_split" in metrics
        return {"kind": "human_test" if human else "augmented_test"}
    told: dict[str, Any] = {}
    for value in metrics.values():
        if isinstance(value, Mapping):
            told |= {str(k): plain(item) for k, item in value.items() if k not in _LEFT}
    if name == "mmmu":
        return {**told, "kind": told.get("subdomain", ""), "subject": told.get("subdomain")}
    return {**told, "kind": next((str(told[key]) for key in _KINDS if told.get(key)), "")}


def _asked_as(
    task: str, question: str, accepted: Sequence[str], kind: str
) -> tuple[str, list[str]]:
    """The answer type and the choices of a known benchmark's question, which no log has."""
    name, choices = TASKS.get(task), list[str]()
    if name in ("mme", "pope"):
        return "yesno", []
    if name == "ocrbench" and kind == _FORMULA:
        return "math", []
    if name in ("mmmu", "mmbench"):
        for letter, text in _OPTION.findall(question):
            if letter == LETTERS[len(choices)]:
                choices.append(text)
        if len(accepted) == 1 and accepted[0].strip() in LETTERS[: len(choices)]:
            return "mcq", choices
    return "", []
