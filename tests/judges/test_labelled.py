"""The strict judge on labelled answers: what it may never do, and what it still has to do."""

import json
from pathlib import Path

import pytest

from vt_env.judges import Query, make_judge

FOLDER = Path(__file__).parent / "labelled"


def verdicts(file: Path) -> list[tuple[dict, bool | None]]:  # type: ignore[type-arg]
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    queries = [Query(r["question"], tuple(r["references"]), r["prediction"]) for r in rows]
    found = make_judge("auto").score(queries)
    return [(row, verdict.correct) for row, verdict in zip(rows, found, strict=True)]


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
    assert sum(c is True for c in right) / len(right) >= 0.8
    assert None not in right
