"""Samples that are played several times: Avg@k, pass@k, and intervals that know it."""

from __future__ import annotations

import json
import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from evaluations import lines, result, vt

from experiments.evaluation.player import Metrics
from experiments.evaluation.result import slim, summarised
from experiments.report import ReportConfig, make_report
from experiments.summary import difference, measure, pass_at, repeats
from vt_env import ConfigError, open_source
from vt_env.sources.repeated import RepeatedSource
from vt_env.tokens import family_in

stats = pytest.importorskip("scipy.stats")


def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_one() -> None:
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                drawn = list(combinations([1] * c + [0] * (n - c), k))
                share = sum(map(any, drawn)) / len(drawn)
                (found,) = pass_at(k, np.array([float(n)]), np.array([float(c)]))
                assert found == pytest.approx(share)
                assert found == pytest.approx(stats.hypergeom(n, c, k).sf(0))
    assert math.isnan(pass_at(3, np.array([2.0]), np.array([1.0]))[0])
    assert pass_at(1, np.array([200_000.0]), np.array([50_000.0]))[0] == pytest.approx(0.25)


def row(question: int, number: int, correct: bool | None, **more: object) -> dict[str, object]:
    return {
        "id": f"{question}~{number}", "kind": "k", "source": "s", "correct": correct,
        "requested": False, "well_formed": True, "futile_request": False, "visual_tokens": 25,
        "full_tokens": 100, "repeat": {"of": str(question), "number": number}, **more,
    }  # fmt: skip


def table(q: int = 60, k: int = 8) -> list[dict[str, object]]:
    """Questions that are hard or easy for good: their episodes hardly differ."""
    rng = np.random.default_rng(0)
    hard = rng.random(q) < 0.5
    return [row(i, j, bool(rng.random() < (0.05 if hard[i] else 0.95)))
            for i in range(q) for j in range(k)]  # fmt: skip


def test_intervals_are_those_of_questions() -> None:
    rows = table()
    found = measure(rows, 0)
    low, high = found["interval_95"]["accuracy"]
    means = np.array([r["correct"] for r in rows], float).reshape(60, 8).mean(1)
    theirs = stats.bootstrap(
        (means,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert [low, high] == pytest.approx([theirs.low, theirs.high], abs=0.015)
    apart = [{**r, "repeat": None} for r in rows]
    naive = measure(apart, 0)["interval_95"]["accuracy"]
    assert high - low > 2 * (naive[1] - naive[0])  # as if 480 questions had been asked
    again = found["repeats"]
    assert (again["k"], again["questions"]) == (8, 60)
    assert again["avg_at_k"]["value"] == pytest.approx(found["accuracy"])
    assert list(again["pass_at_k"]) == ["1", "2", "4", "8"]
    values = [one["value"] for one in again["pass_at_k"].values()]
    assert values == sorted(values)
    assert values[0] == pytest.approx(found["accuracy"])
    assert values[-1] == np.mean(means > 0)
    assert "repeats" not in measure(apart, 0)


def test_unscored_episodes_leave_their_question_fewer() -> None:
    rows = [row(0, 0, True), row(0, 1, None), row(1, 0, True), row(1, 1, False), row(2, 0, None)]
    found = measure(rows, 0)["repeats"]
    assert (found["avg_at_k"]["value"], found["avg_at_k"]["n"]) == (0.75, 2)
    assert (found["pass_at_k"]["2"]["value"], found["pass_at_k"]["2"]["n"]) == (1, 1)
    none = np.array([np.nan, np.nan])
    assert repeats(none, none, np.array([0, 0]))["avg_at_k"]["value"] is None  # type: ignore[index]


def test_episodes_of_one_question_are_no_evidence_by_themselves() -> None:
    a, b = np.zeros(40), np.ones(40)
    alone = difference(a, b, np.arange(40), test=True)
    together = difference(a, b, np.repeat(np.arange(5), 8), test=True)
    assert (alone["p"] < 1e-9, together["p"]) == (True, None)
    assert alone["difference"] == together["difference"] == 1


def test_metrics_of_a_benchmark_are_means_over_repetitions() -> None:
    rows = [row(i, j, i == 0 or j == 0) for i in range(2) for j in range(2)]

    def both_right(some: object) -> dict[str, float]:
        assert len(some) == 2  # type: ignore[arg-type]
        return {"n": 2, "both": float(all(r["correct"] for r in some))}  # type: ignore[attr-defined]

    assert summarised(rows, [], 0, Metrics(both_right))["metrics"] == {"n": 2, "both": 0.5}  # type: ignore[arg-type]


def test_a_repetition_without_a_number_is_left_out_of_its_mean() -> None:
    """One in which nothing was scored took every number with it."""
    rows = [row(i, j, None if j == 1 else i == 0) for i in range(2) for j in range(3)]

    def share(some: object) -> dict[str, object]:
        known = [r["correct"] for r in some if r["correct"] is not None]  # type: ignore[attr-defined]
        wrong = {"wrong": [r["id"] for r in some if r["correct"] is False]}  # type: ignore[attr-defined]
        return {"n": len(some), **wrong, **({"share": sum(known) / len(known)} if known else {})}  # type: ignore[arg-type]

    metrics = Metrics(share, lambda some: {"rows": len(some)})
    assert summarised(rows, [], 0, metrics)["metrics"] == {  # type: ignore[arg-type]
        "n": 2, "share": 0.5, "wrong": [["1~0"], [], ["1~2"]], "rows": 6
    }  # fmt: skip


def test_a_source_is_repeated_with_ids_of_its_own() -> None:
    source = open_source("generated:n=3")
    again = RepeatedSource(source, 2)
    assert again.ids()[:3] == ["test-0-000000~0", "test-0-000000~1", "test-0-000001~0"]
    assert again[1].question == source[0].question
    assert again[1].metadata["repeat"] == {"of": "test-0-000000", "number": 1}
    assert again.fingerprint() != RepeatedSource(source, 3).fingerprint()
    with pytest.raises(ConfigError, match="from 1 to 100,000, got 0"):
        RepeatedSource(source, 0)


def test_an_evaluation_with_repeats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "--agent", "random:p=0.5", "--data", "generated:n=30", "--batch", "8",
            "--limit", "6", "--repeat", "4"]  # fmt: skip
    assert vt(*argv, "--out", tmp_path / "one") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("Avg@k", "pass@4", "calls", "views", "seconds"):
        assert text in shown
    found = result(tmp_path / "one")
    assert (found["n"], found["repeats"]["questions"], found["repeats"]["k"]) == (24, 6, 4)
    assert found["views"] == pytest.approx(1 + found["request_rate"])
    assert found["calls"] == found["request_rate"]
    rows = lines(tmp_path / "one" / "episodes.jsonl")
    assert "repeat" not in rows[5]["metadata"]
    assert rows[5]["repeat"] == {"of": "test-0-000001", "number": 1}
    played = [{json.dumps(one["turns"]) for one in rows[at : at + 4]} for at in range(0, 24, 4)]
    assert max(map(len, played)) > 1  # other draws of one question
    assert slim(rows[5])["repeat"] == rows[5]["repeat"]
    shards = [tmp_path / f"shard{i}" for i in range(2)]
    for i, shard in enumerate(shards):
        assert vt(*argv, "--out", shard, "--shard", f"{i}/2") == 0
    assert vt("eval", "--merge", *shards, "--out", tmp_path / "merged") == 0
    assert result(tmp_path / "merged") == found
    assert vt(*argv[:-1], "5", "--out", shards[0], "--shard", "0/2", "--resume") == 2
    assert "repeat is 4 there and 5 here" in capsys.readouterr().err


def test_a_report_shows_the_pictures_of_repeated_questions(tmp_path: Path) -> None:
    data = ("--data", "generated:n=3")
    assert vt("eval", "--agent", "request", *data, "--repeat", 2, "--out", tmp_path / "a") == 0
    report = make_report([tmp_path / "a"], tmp_path / "a.html", ReportConfig())
    assert report.notes == []
    assert len(report.pictures) > 0


def test_tokens_are_counted_for_the_agents_own_model() -> None:
    assert family_in("vllm:Qwen/Qwen3-VL-8B-Instruct,temperature=0") == "qwen3-vl"
    assert family_in("openai:qwen2.5_vl-7b@http://127.0.0.1:8000/v1") == "qwen2.5-vl"
    assert family_in("transformers:OpenGVLab/InternVL3-8B-hf") in ("internvl", None)
    assert family_in("random:p=0.5") is None
