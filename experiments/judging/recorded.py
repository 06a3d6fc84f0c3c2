"""Recorded answers judged: rows of a file, episodes of ``vt eval``, sample logs of lmms-eval.

They go to a judge in batches, and the next is begun before one is waited for. Verdicts of a file of
rows are kept in ``OUT.part`` as they come, so that an interrupted command can go on. It is sealed
line by line; the first says what is judged by whom.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from experiments.episodes import Row, query_of, read_rows, with_verdict
from experiments.evaluation.player import Metrics
from experiments.evaluation.result import EPISODES, RESULT, Result, needed, read_result, summarised
from experiments.files import SealedLog, json_rows, new_file, user_line, write_json
from experiments.provenance import provenance
from trainers.files import PART, opened_line, sealed_line, unused, whole_file
from trainers.locks import locked
from trainers.results import Mode
from vt_env import ConfigError, DataError, Judge, Query, Verdict, make_judge

_KEPT = (
    *("agent", "data", "protocol", "mode", "rate", "tokens", "seconds", "agent_seconds"),
    "episodes",
)
"""What of the result beside the recorded episodes is still true of them."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Episodes that are on disk, and who judges them anew.

    Attributes:
        name: What results call it, and its folder's name where there are several.
        rows: Reads them, as :func:`~experiments.episodes.read_rows` yields them.
        about: What is known of them: ``episodes``, where they stood, ``agent``, ``data``,
            ``refusals``, ….
        judge: Who judges the answers, or a spec; ``None`` leaves the verdicts as they are. An
            episode without an answer stays wrong.
        metrics: Further numbers.
        more: Further fields of the result, from whole rows.
    """

    name: str
    rows: Callable[[], Iterable[Row]]
    about: Mapping[str, Any]
    judge: str | Judge | None = None
    metrics: Metrics | None = None
    more: Callable[[Sequence[Row]], Mapping[str, Any]] | None = None


def recording_of(path: Path, judge: str | None = None) -> Recording:
    """The episodes of ``vt eval``: an ``episodes.jsonl``, or a folder that holds one."""
    file = recorded_file(path)
    if not file.is_file():
        raise DataError(f"cannot read {path}: there is no such file")
    before = read_result(file.parent) if (file.parent / RESULT).exists() else {}
    return Recording(str(path), lambda: read_rows(file), {**before, "episodes": str(file)}, judge)


def folders_of(recordings: Sequence[Recording]) -> list[str]:
    """Where each is written, as the beginning of names in the folder of results."""
    return [f"{one.name}/" for one in recordings] if len(recordings) > 1 else [""]


def rescore(
    recordings: Sequence[Recording],
    out: Path,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Result]:
    """Write ``episodes.jsonl`` and ``result.json`` of each; no model plays.

    Args:
        recordings: What is summed up, and judged.
        out: A folder for the results, not one that is read.
        seed: Seeds the bootstrap.
        progress: Called with the rows done so far of one of them.
    """
    made: dict[str, Result] = {}
    for one, folder in zip(recordings, folders_of(recordings), strict=True):
        judge = None if one.judge is None else make_judge(one.judge)
        try:
            (out / folder).mkdir(parents=True, exist_ok=True)
            made[one.name] = _rescored(one, out / folder, judge, seed, progress)
        finally:
            if judge is not None:
                judge.close()
    return made


def _rescored(
    one: Recording,
    out: Path,
    judge: Judge | None,
    seed: int,
    progress: Callable[[int], None],
) -> Result:
    about, kept = one.about, list[Row]()
    with whole_file(out / EPISODES) as stream:
        for row in _with_verdicts(one.rows(), judge):
            stream.write(sealed_line(row))
            kept.append(row if one.more else needed(row, one.metrics))
            progress(len(kept))
    refused = about.get("refusals", [])
    result = {
        **summarised(kept, refused, seed, one.metrics),
        **{key: about[key] for key in ("refused", *_KEPT) if key in about},
        "judge": judge.name if judge else about.get("judge"),
        **({"judging": usage.numbers()} if judge and (usage := judge.usage) else {}),
        "refusals": refused,
        **(one.more(kept) if one.more else {}),
        "provenance": provenance(seed, about.get("provenance", {}).get("data")),
    }
    write_json(out / RESULT, result)
    return result


def recorded_file(path: Path) -> Path:
    """The file of episodes at a path."""
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
    for row, verdict in judged(((row, query_of(row)) for row in rows), judge):
        yield row if verdict is None else with_verdict(row, verdict)


BATCH = 256
FIELDS = ("verdict", "judge", "reason")
"""What is added to a row."""
_HEAD = "vt judge"
T = TypeVar("T")


def judged(
    rows: Iterable[tuple[T, Query | None]], judge: Judge
) -> Iterator[tuple[T, Verdict | None]]:
    """Rows with the verdicts of what is asked about them, in order; of nothing there is none."""
    left, begun = iter(rows), list[tuple[list[tuple[T, Query | None]], Future[list[Verdict]]]]()
    while True:
        if batch := list(islice(left, BATCH)):
            begun.append((batch, judge.submit([query for _, query in batch if query is not None])))
        if len(begun) > 1 or (begun and not batch):
            some, pending = begun.pop(0)
            asked = [place for place, (_, query) in enumerate(some) if query is not None]
            found = dict(zip(asked, pending.result(), strict=True))
            yield from ((row, found.get(place)) for place, (row, _) in enumerate(some))
        elif not batch:
            return


class Verdicts:
    """Rows with verdicts, on their way to a file.

    Attributes:
        path: ``OUT.part``.
        file: The rows that are judged.

    Args:
        out: The file that is to be written.
        file: The rows that are judged.
        judge: The judge's spec.
    """

    def __init__(self, out: Path, file: Path, judge: str) -> None:
        self.out = out
        self.path = out.with_name(out.name + PART)
        self.file = file
        self.judge = judge
        self._log = SealedLog(self.path)

    def look(self, mode: Mode) -> None:
        """Find out whether the verdicts may be written. Nothing is changed."""
        begun = os.path.lexists(self.path)
        told = self._head() if begun else ""
        if told is None:
            raise ConfigError(f"{self.path} was not written by vt judge; choose another --out")
        if begun and mode == "new":
            raise ConfigError(
                f"{self.path} has verdicts of an interrupted vt judge: add --resume to go on with "
                "them, or --overwrite to begin anew"
            )
        if mode == "resume" and not begun:
            raise ConfigError(f"there is nothing to resume: no {self.path}")
        if mode == "resume" and told not in (self.judge, ""):
            raise ConfigError(
                f"{self.path} was begun with the judge {told!r}, not {self.judge!r}; set it back, "
                "or add --overwrite to begin anew"
            )
        if not begun or os.path.lexists(self.out):
            new_file(self.out, "judge", mode != "new", _is_judged)

    @contextmanager
    def begun(self, resume: bool) -> Iterator[None]:
        """Hold the file, which no other process may write meanwhile."""
        try:
            with locked(self.path):
                if resume:
                    self._log.mend(in_order=True)
                else:
                    self.path.write_bytes(b"")
                if not self.path.stat().st_size:
                    self._log.append([{_HEAD: self.judge}])
                yield
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}") from error

    def rows(self) -> Iterator[dict[str, Any]]:
        """The rows that are there already."""
        return (json.loads(row["row"]) for row in islice(self._log.rows(), 1, None))

    def judged(self, judge: Judge) -> Iterator[dict[str, Any]]:
        """All rows with their verdicts: those that are there already, then the others."""
        rows = answers(self.file)
        for there in self.rows():
            row = next(rows, (None, None))[0]
            verdict = {key: there.get(key) for key in FIELDS}
            if row is None or json.dumps({**row, **verdict}) != json.dumps(there):  # NaN is NaN
                raise ConfigError(
                    f"{self.path} holds verdicts of other rows than those of {self.file}; put them "
                    "back, or add --overwrite to begin anew"
                )
            yield there
        for row, verdict in judged(rows, judge):
            assert verdict is not None
            found = (verdict.correct, verdict.judge, verdict.reason)
            made = {**row, **dict(zip(FIELDS, found, strict=True))}
            self._log.append([{"row": json.dumps(made)}], sync=False)
            yield made

    def finish(self) -> None:
        """Write the file itself; what led to it goes."""
        whole = unused(self.out.with_name(f"{self.out.name}.whole"))
        with whole.open("w", encoding="utf-8") as stream:
            stream.writelines(map(user_line, self.rows()))
            stream.flush()
            os.fsync(stream.fileno())
        whole.replace(self.out)
        self.path.unlink()

    def _head(self) -> str | None:
        """The judge that it was begun with; empty of an empty file, ``None`` of another's."""
        try:
            if self.path.is_symlink():
                return None
            with self.path.open("rb") as stream:
                line = stream.readline()
            return str(opened_line(line, str(self.path))[_HEAD]) if line else ""
        except (OSError, DataError, KeyError):
            return None


def _is_judged(path: Path) -> bool:
    """Whether a file is what ``vt judge`` writes."""
    return {*FIELDS} <= next(json_rows(path))[1].keys()


def answers(file: Path) -> Iterator[tuple[dict[str, Any], Query]]:
    """Rows and what the judge is asked of each.

    A row's own ``verdict``, ``judge`` and ``reason`` are kept as ``verdict_before`` and so on.
    """
    for number, row in json_rows(file):
        where = f"{file}, line {number}"
        if lost := [f"{key}_before" for key in FIELDS if key in row and f"{key}_before" in row]:
            raise DataError(f"{where}: it was judged twice already; rename or drop {lost[0]}")
        yield _row({f"{k}_before" if k in FIELDS else k: v for k, v in row.items()}, where)


def _row(row: dict[str, Any], where: str) -> tuple[dict[str, Any], Query]:
    given = (row.get(key) for key in ("references", "ground_truth"))
    accepted = next((value for value in given if value not in (None, [])), None)
    missing = [k for k in ("question", "prediction") if k not in row]
    if accepted is None:
        missing.append("references or ground_truth")
    if missing:
        raise DataError(f"{where}: the row lacks {', '.join(missing)}")
    given = accepted if isinstance(accepted, list) else [accepted]
    references = tuple(_text(reference, where, "references") for reference in given)
    if not all(reference.strip() for reference in references):
        raise DataError(f"{where}: a reference is empty, so that no answer can be right")
    query = Query(
        question=_text(row["question"], where, "question"),
        references=references,
        answer=_unwrapped(_text(row["prediction"], where, "prediction")),
        answer_type=_text(row.get("answer_type"), where, "answer_type"),
        choices=tuple(_text(c, where, "choices") for c in row.get("choices") or ()),
    )
    return row, query


def _text(value: object, where: str, field: str) -> str:
    """Text as it is, a number as it is written in JSON, nothing (also NaN) as empty text."""
    if value is None or value != value:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise DataError(f"{where}: {field} must be text or a number, got a {type(value).__name__}")


_TURN = re.compile(r"\s*(?:<think>[^<]*</think>)?\s*<answer>([^<]*)</answer>\s*")


def _unwrapped(prediction: str) -> str:
    """The answer of a prediction that is a whole turn and nothing else; others as they are."""
    turn = _TURN.fullmatch(prediction)
    return turn[1].strip() if turn else prediction
