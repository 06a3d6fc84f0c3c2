"""The strict judge on labelled answers: what it may never do, and what it still has to do."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from vt_env.judges import Query, make_judge

FOLDER = Path(__file__).parent / "labelled"
MIXED = ("dev5", "dev6", "kinds", "test5", "test6", "test7", "test8", "test10")
"""Sets that hold right, wrong and hostile answers by kind and language."""
FREE = {"test9": 0.54, "test11": 0.43}
"""Likewise, half of the right ones sentences of their author's own; what is accepted at least."""


@cache
def verdicts(file: Path) -> list[tuple[dict, bool | None]]:  # type: ignore[type-arg]
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    queries = [
        Query(
            r["question"], tuple(r["references"]), r["prediction"], "", tuple(r.get("choices", ()))
        )
        for r in rows
    ]
    judge = make_judge("auto")
    found = judge.score(queries)
    judge.close()  # type: ignore[attr-defined]
    return [(row, verdict.correct) for row, verdict in zip(rows, found, strict=True)]


def table(judged: list[tuple[dict, bool | None]]) -> str:  # type: ignore[type-arg]
    """Accepted of right and of wrong answers, by kind and by language."""
    lines: list[str] = []
    for column in ("kind", "language"):
        right, wrong = Counter[str](), Counter[str]()
        for row, correct in judged:
            (right if row["label"] else wrong)[row[column]] += 1
            (right if row["label"] else wrong)[f"{row[column]} accepted"] += correct is True
        for name in sorted({row[column] for row, _ in judged}):
            shares = (f"{c[f'{name} accepted']:>4} / {c[name]:<4}" for c in (right, wrong))
            lines.append(f"{name:<20} right {next(shares)} wrong {next(shares)}")
    return "\n".join(lines)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*_attacks.jsonl")), ids=lambda p: p.stem)
def test_no_attack_is_accepted(file: Path) -> None:
    judged = verdicts(file)
    assert len(judged) >= 100
    assert [row for row, correct in judged if correct is not False] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*_pairs.jsonl")), ids=lambda p: p.stem)
def test_pairs(file: Path) -> None:
    judged = verdicts(file)
    wrong = [(row, correct) for row, correct in judged if not row["label"]]
    right = [correct for row, correct in judged if row["label"]]
    assert len(wrong) >= 100
    assert len(right) >= 100
    assert [row for row, correct in wrong if correct] == []
    assert sum(c is True for c in right) / len(right) >= 0.9
    assert None not in right


@pytest.mark.parametrize("name", [*MIXED, *FREE])
def test_kinds_and_languages(name: str) -> None:
    judged = verdicts(FOLDER / f"{name}.jsonl")
    print(table(judged))
    right = [correct is True for row, correct in judged if row["label"]]
    assert [row for row, correct in judged if correct and not row["label"]] == []
    least = {"test7": 0.87, "test8": 0.72, **FREE}  # not tuned to all of their right rows
    assert sum(right) / len(right) >= least.get(name, 0.85)


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "zh", "ja"])
def test_every_language_is_read(language: str) -> None:
    judged = [pair for name in MIXED for pair in verdicts(FOLDER / f"{name}.jsonl")]
    right = [c is True for row, c in judged if row["label"] and row["language"] == language]
    assert len(right) >= 30
    assert sum(right) / len(right) >= 0.85


_VERDICTS = """
import json, sys
from vt_env.judges import Query
from vt_env.judges.auto import classify
for line in sys.stdin:
    row = json.loads(line)
    print(classify(Query(row["question"], tuple(row["references"]), row["prediction"])))
"""


def test_a_verdict_does_not_depend_on_the_order_of_sets() -> None:
    """Python orders sets of text anew in every process, but for PYTHONHASHSEED."""
    lines = [
        line
        for file in sorted(FOLDER.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()[::10]
    ]
    runs = [
        subprocess.run(
            [sys.executable, "-c", _VERDICTS],
            input="\n".join(lines),
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    assert len(runs[0]) == len(lines)
    assert [pair for pair in zip(*runs, strict=True) if len(set(pair)) > 1] == []
