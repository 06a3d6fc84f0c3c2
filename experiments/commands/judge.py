"""``vt judge``: verdicts for answers in a file."""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.agreement import agreement, agreement_table, kind_of, kind_table
from experiments.commands.options import console
from experiments.files import json_line, json_rows, whole_file
from experiments.judging import judged
from vt_env import ConfigError, DataError, Judge, Query, Verdict, make_judge
from vt_env.judges import close
from vt_env.judges.models import usage_of

DESCRIPTION = """\
Read a JSONL file, a row an answer:
  question               the question
  references             accepted answers: a list, or one (ground_truth means the same)
  prediction             the answer to judge; of a whole turn, what its answer tags hold
  answer_type, choices   optional, see the judges' documentation
and write the same rows with verdict (true, false, or null: unscored), judge and reason.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "judge",
        help="verdicts for answers in a file",
        description=DESCRIPTION,
        epilog="Where rows have a label (true or false), agreement with it is shown too: Cohen's "
        "kappa, false accepts, and what was accepted of each kind of wrong answer (by the fields "
        "attack, kind or category).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the rows, JSONL in UTF-8")
    parser.add_argument(
        "--judge",
        default="auto",
        metavar="NAME",
        help="who judges (default: auto); a model as in openai:MODEL@URL or "
        "cascade:openai:MODEL@URL,concurrency=64,cache=FILE",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="where rows go")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Check every row, then judge in batches and write."""
    judge = make_judge(arguments.judge)
    try:
        _judge(arguments, judge)
    finally:
        close(judge)


def _judge(arguments: argparse.Namespace, judge: Judge) -> None:
    total = sum(1 for _ in _rows(arguments.file))
    if arguments.out.exists() and arguments.out.samefile(arguments.file):
        raise ConfigError("--out is the file that is read; choose another name")
    screen = console(stderr=True)
    from rich.progress import Progress

    counts: Counter[tuple[bool | None, bool | None]] = Counter()
    kinds: defaultdict[str, Counter[bool | None]] = defaultdict(Counter)
    try:
        with (
            whole_file(arguments.out) as out,
            Progress(console=screen, transient=True) as bar,
        ):
            task = bar.add_task("judging", total=total)
            for row, verdict in judged(_rows(arguments.file), judge):
                out.write(json_line({**row, **_verdict_row(verdict)}))
                label = _label(row)
                counts[label, verdict.correct] += 1
                if label is False and (kind := kind_of(row)):
                    kinds[kind][verdict.correct] += 1
                bar.advance(task)
    except OSError as error:
        raise ConfigError(f"cannot write {arguments.out}: {error.strerror}") from error
    _show(counts, judge.name, arguments.out)
    if any(label is not None for label, _ in counts):
        console().print(agreement_table(agreement(counts.elements())))
    if kinds:
        console().print(kind_table(kinds))
    if (usage := usage_of(judge)) is not None:
        console().print(str(usage))


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    return {"verdict": verdict.correct, "judge": verdict.judge, "reason": verdict.reason}


def _rows(file: Path) -> Iterator[tuple[dict[str, Any], Query]]:
    """Rows and what the judge is asked of each.

    Raises:
        DataError: If the file cannot be read, or a row is not what was expected; with its line.
    """
    for number, row in json_rows(file):
        yield _row(row, f"{file}, line {number}")


def _row(row: dict[str, Any], where: str) -> tuple[dict[str, Any], Query]:
    given = (row.get(key) for key in ("references", "ground_truth"))
    accepted = next((value for value in given if value not in (None, [])), None)
    missing = [k for k in ("question", "prediction") if k not in row]
    if accepted is None:
        missing.append("references or ground_truth")
    if missing:
        raise DataError(f"{where}: the row lacks {', '.join(missing)}")
    references = accepted if isinstance(accepted, list) else [accepted]
    query = Query(
        question=_text(row["question"], where, "question"),
        references=tuple(_text(r, where, "references") for r in references),
        answer=_unwrapped(_text(row["prediction"], where, "prediction")),
        answer_type=_text(row.get("answer_type"), where, "answer_type"),
        choices=tuple(_text(c, where, "choices") for c in row.get("choices") or ()),
    )
    return row, query


def _text(value: object, where: str, field: str) -> str:
    """Text as it is, a number as it is written in JSON, nothing as empty text."""
    if value is None:
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


def _label(row: Mapping[str, Any]) -> bool | None:
    label = row.get("label")
    return label if isinstance(label, bool) else None


def _show(counts: Counter[tuple[bool | None, bool | None]], judge: str, out: Path) -> None:
    from rich.table import Table

    table = Table(title=f"verdicts of {judge}", caption=f"written to {out}")
    for header in ("rows", "n", "correct", "incorrect", "unscored"):
        table.add_column(header, justify="left" if header == "rows" else "right")
    for label, name in ((True, "labelled right"), (False, "labelled wrong"), (None, "no label")):
        cells = [counts[label, verdict] for verdict in (True, False, None)]
        if n := sum(cells):
            table.add_row(name, str(n), *(f"{c} ({c / n:.1%})" for c in cells))
    console().print(table)
