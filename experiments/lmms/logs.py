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
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.evaluation.rows import Row, plain
from experiments.files import json_row
from experiments.lmms.scores import metric_fields, recorded_score, recorded_verdict
from experiments.lmms.tasks import asked_as, told_of
from vt_env import DataError

_NAME = re.compile(r"(\d{8}_\d{6})_samples_(.+)\.jsonl")
_NEEDED = ("doc_id", "target", "filtered_resps", "input")
_OWN = {*_NEEDED, "doc", "arguments", "resps", "token_counts", "doc_hash", "input_media"}
"""Fields that are no metric's."""
_SEVERAL = (
    "two runs appended to one file, two tasks in one, or a task with several filters, whose lines "
    "do not say which filter they are of"
)


@dataclass(frozen=True, slots=True)
class Log:
    """One sample log.

    Attributes:
        path: The file.
        task: Its task.
        date: Of the run; empty where the file's name does not say.
        metric: The fields that hold the score of a line: one, or where each line has just one of
            several, all of them. Empty where no line has a score.
        settings: ``config`` of the run's ``results.json``; empty where there is none.
        reported: What the task's metrics came to, as lmms-eval reported it.
    """

    path: Path
    task: str
    date: str
    metric: tuple[str, ...]
    settings: Mapping[str, Any]
    reported: Mapping[str, float]

    def rows(self, refused: list[dict[str, str]]) -> Iterator[Row]:
        """A row of ``episodes.jsonl`` a document, with the verdict that lmms-eval recorded.

        What the log does not say (views, visual tokens, format) is null.

        Args:
            refused: Takes documents without a target: there is nothing to judge them by.
        """
        for _, line in _lines(self.path):
            row = self._row(line)
            if row["references"]:
                yield row
            else:
                refused.append({
                    "id": row["id"], "reason": "its target is empty: nothing to judge it by",
                    "kind": row["kind"], "source": row["source"],
                })  # fmt: skip

    def _row(self, line: Mapping[str, Any]) -> Row:
        name = next((name for name in self.metric if name in line), "")
        value, answer = line.get(name), _answer(line["filtered_resps"])
        told = told_of(self.task, {k: v for k, v in line.items() if k not in _OWN})
        accepted = references(line["target"])
        return {
            "id": f"{self.task}/{line['doc_id']}",
            "question": line["input"],
            "references": list(accepted),
            **asked_as(self.task, line["input"], accepted, told["kind"]),
            "kind": told.pop("kind"),
            "source": self.task,
            "metadata": {**told, "lmms": {"metric": name, "value": plain(value)}},
            "turns": [],
            "answer": answer,
            **recorded_verdict(name, value, answer),
            "well_formed": None,
            "flaws": [],
            "requested": None,
            "futile_request": None,
            "visual_tokens": None,
            "full_tokens": None,
            "generated_tokens": _generated(line.get("token_counts")),
            "views": [],
            "reward": None,
        }


def find_logs(path: Path, task: str | None = None) -> list[Path]:
    """The sample logs at a path, of each task one.

    Args:
        path: A file, or a folder given to lmms-eval as ``--output_path``.
        task: Only this task's.

    Raises:
        DataError: If there is none, or a task has several.
    """
    if not path.is_dir():
        return [path]
    found: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*.jsonl")):
        if match := _NAME.fullmatch(file.name):
            found.setdefault(match[2], []).append(file)
    if task is not None:
        found = {name: files for name, files in found.items() if name == task}
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
    """Read a log through once and check every line.

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
    seen: dict[str, int] = {}
    fields: list[tuple[int, list[str]]] = []
    scored: dict[str, None] = {}
    others: dict[str, None] = {}
    for number, line in _lines(path):
        where = f"{path}, line {number}"
        _check(line, where)
        if (first := seen.setdefault(str(line["doc_id"]), number)) != number:
            raise DataError(
                f"{where}: the doc_id {line['doc_id']!r} stands in line {first} already: {_SEVERAL}"
            )
        names = [name for name in line if name not in _OWN]
        fields.append((number, names))
        for name in names:
            (others if recorded_score(line[name]) is None else scored)[name] = None
    if not seen:
        raise DataError(f"{path} has no lines")
    results = _results(path, date)
    reported = results.get("results", {}).get(task, {})
    return Log(
        path,
        task,
        date,
        metric_fields(
            path, task, metric, fields, list(scored), [n for n in others if n not in scored]
        ),
        results.get("config", {}),
        {name: v for name, v in reported.items() if type(v) in (int, float) and math.isfinite(v)},
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a log with their line's number.

    Raises:
        DataError: If it cannot be read, a line is no object, or the last one breaks off.
    """
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


def _check(line: Mapping[str, Any], where: str) -> None:
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


def _generated(counts: Any) -> int | None:
    """The generated tokens of the one request, where the model counted them."""
    if not isinstance(counts, list) or len(counts) != 1 or not isinstance(counts[0], Mapping):
        return None
    said = counts[0].get("output_tokens")
    return said if type(said) is int and said >= 0 else None


def _unwrapped(answer: Any) -> Any:
    return answer[0] if isinstance(answer, list) and len(answer) == 1 else answer


def _answer(written: Any) -> str | None:
    """An answer; ``None`` where it is empty, as there is nothing to judge."""
    text = _unwrapped(written)
    return text if text.strip() else None


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


def _results(path: Path, date: str) -> dict[str, Any]:
    """``DATE_results.json`` beside a log; empty where there is none.

    Raises:
        DataError: If it is broken.
    """
    file = path.with_name(f"{date}_results.json")
    if not date or not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{file} must hold an object, got {type(found).__name__}")
    return found
