"""``vt judge`` with labels, and a sample for a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.judging import Completion, Judging, Local, ModelJudge
from experiments.cli import main
from experiments.judging.agreement import Agreement, Stratum, agreement, sample, stratified
from vt_env import Verdict
from vt_env.judges import JUDGES, register_judge

LABELLED = Path(__file__).parents[1] / "judges" / "labelled"


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_kappa_is_cohens():
    # labelled right 25 of 50, accepted 30 of 50: chance agrees on half
    found = Agreement(20, 5, 10, 15)
    assert found.share == 0.7
    assert found.kappa == pytest.approx(0.4)
    assert Agreement(10, 0, 0, 10).kappa == 1
    assert Agreement(10, 0, 0, 0).kappa is None
    assert agreement([]).share is None
    pairs = [(True, True), (False, True), (None, True), (True, None)]
    assert agreement(pairs) == Agreement(1, 0, 1, 0, 1)


def test_a_stratified_interval_covers_what_is_true():
    even = stratified([Stratum(50, 50, 45), Stratum(50, 50, 45)])
    assert even is not None
    centre, low, high = even
    assert centre == pytest.approx(0.9)
    assert 0.81 < low < 0.86
    assert 0.93 < high < 0.96
    skewed = stratified([Stratum(900, 50, 50), Stratum(100, 50, 25)])
    assert skewed is not None
    assert skewed[0] == pytest.approx(0.95)
    assert stratified([Stratum(10, 0, 0), Stratum(10, 5, 5)]) is None
    assert stratified([Stratum(0, 0, 0), Stratum(10, 5, 5)])[0] == 1  # type: ignore[index]


def test_a_sample_is_half_right_half_wrong_and_the_same_for_a_seed():
    verdicts = [True] * 30 + [False] * 300 + [None] * 50
    chosen = sample(verdicts, 40, 1)
    assert [verdicts[i] for i in chosen].count(True) == 20
    assert len(set(chosen)) == 40
    assert chosen == sample(verdicts, 40, 1)
    assert chosen != sample(verdicts, 40, 2)
    assert sorted(sample(verdicts, 1000, 0)) == list(range(330))


@pytest.fixture
def model(monkeypatch):
    """A judge ``stub`` that accepts whatever is long."""
    monkeypatch.setattr(JUDGES, "_factories", dict(JUDGES._factories))

    def answer(asks):
        return [Completion("right" if "  " in ask.user else "wrong", None, 10, 1) for ask in asks]

    register_judge("stub", lambda: ModelJudge(Local("stub", "s", answer), Judging(price_in=1.0)))


def test_judging_with_labels_shows_agreement_attacks_and_cost(
    model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "judged.jsonl"
    attacks = str(LABELLED / "second_attacks.jsonl")
    assert main(["judge", attacks, "--judge", "stub", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    for text in ("kappa", "false accepts", "master_keys", "tokens in", "cost", "planted"):
        assert text in shown
    assert len(lines(out)) == 140
    assert {row["judge"] for row in lines(out)} == {"stub"}


def test_an_audit_from_a_sample_to_an_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    judged, drawn = tmp_path / "judged.jsonl", tmp_path / "sample.jsonl"
    pairs = LABELLED / "second_pairs.jsonl"
    assert main(["judge", str(pairs), "--out", str(judged)]) == 0
    assert main(["judge", str(judged), "--sample", str(drawn), "--n", "60"]) == 0
    rows = lines(drawn)
    assert len(rows) == 60
    assert all(
        row["label"] is None and "verdict" not in row and "reason" not in row for row in rows
    )
    assert main(["judge", str(judged), "--labels", str(drawn)]) == 2
    assert "no labels yet" in capsys.readouterr().err
    truth = lines(judged)
    for row in rows:
        row["label"] = truth[row["row"] - 1]["label"]
    drawn.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    assert main(["judge", str(judged), "--labels", str(drawn)]) == 0
    shown = capsys.readouterr().out
    assert "judged right: 30 of 30 labels agree" in shown
    assert "95 % interval" in shown
    assert main(["judge", str(judged), "--sample", str(drawn)]) == 2  # never over someone's labels


@pytest.mark.parametrize(
    ("judged", "labels", "message"),
    [
        ('{"question": "a"}', None, "there is no verdict"),
        ('{"verdict": null}', None, "no row with a verdict"),
        ('{"verdict": true, "id": 1}', '{"row": 2, "label": true}', "no such row"),
        ('{"verdict": true, "id": 1}', '{"row": 1, "id": 2, "label": true}', "it is not row 1"),
        ('{"verdict": true, "id": 1}', '{"row": 1, "id": 1, "label": 1}', "true, false or null"),
        ("[]", None, "expected a JSON object"),
    ],
)
def test_wrong_input_is_said(judged, labels, message, tmp_path: Path, capsys):
    one, two = tmp_path / "judged.jsonl", tmp_path / "labels.jsonl"
    one.write_text(judged)
    two.write_text(labels or "")
    how = ["--sample", str(tmp_path / "new")] if labels is None else ["--labels", str(two)]
    assert main(["judge", str(one), *how]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_rows_own_verdict_is_kept(tmp_path: Path):
    row = {"question": "?", "references": ["5"], "prediction": "5", "verdict": "mine", "judge": 7}
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text(json.dumps(row))
    assert main(["judge", str(file), "--judge", "auto", "--out", str(out)]) == 0
    (made,) = lines(out)
    assert made["verdict"] is True
    assert made["judge"] == "auto"
    assert (made["verdict_before"], made["judge_before"]) == ("mine", 7)


def test_a_row_with_a_key_twice_is_refused(tmp_path: Path, capsys):
    file, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"question": "?", "references": ["5"], "prediction": "5", "prediction": "6"}')
    assert main(["judge", str(file), "--judge", "auto", "--out", str(out)]) == 2
    assert "line 1: expected one JSON object a line: a key appears twice" in capsys.readouterr().err


def test_a_judge_that_stops_is_one_line(monkeypatch, tmp_path: Path, capsys):
    from vt_env.errors import JudgeError

    monkeypatch.setattr(JUDGES, "_factories", dict(JUDGES._factories))

    class Broken:
        name = "broken"

        def score(self, queries) -> list[Verdict]:
            raise JudgeError("too much fails")

    register_judge("broken", Broken)
    out = tmp_path / "judged.jsonl"
    file = str(LABELLED / "dev_pairs.jsonl")
    assert main(["judge", file, "--judge", "broken", "--out", str(out)]) == 2
    assert "too much fails" in capsys.readouterr().err
    assert not out.exists()
