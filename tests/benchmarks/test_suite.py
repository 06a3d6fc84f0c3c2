"""``vt eval --suite``: several benchmarks, modes, processes, and one table."""

from __future__ import annotations

import json

import pytest
from tables import datasets, row, table

from experiments.benchmarks import BENCHMARKS
from experiments.benchmarks.suite import SUITES, benchmark_judge, suite_parts, suite_rows
from experiments.cli import main
from experiments.report.gallery import arms_of
from experiments.report.page import make_report
from experiments.report.reading import read_results
from experiments.report.tracked import tables_of
from vt_env.errors import ConfigError, DataError


@pytest.fixture
def copies(tmp_path, monkeypatch):
    """Two benchmarks as `save_to_disk` leaves them."""
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "copies"
    for name, n in (("chartqa", 3), ("realworldqa", 2)):
        table(name, *[row(name) for _ in range(n)]).save_to_disk(root / name)
    return root


def evaluate(copies, out, *more):
    chosen = ["--benchmark", "chartqa", "--benchmark", "realworldqa"]
    data = ["--suite", "paper", *chosen, "--suite-data", str(copies)]
    return main(["eval", *data, "--agent", "request", "--out", str(out), *more])


@pytest.mark.slow
def test_a_suite_in_modes_and_processes(copies, tmp_path, capsys):
    modes = ["--mode", "low", "--mode", "full", "--mode", "always-request"]
    assert evaluate(copies, tmp_path / "one", *modes) == 0
    shown = capsys.readouterr().out
    for text in ("chartqa", "realworldqa", "average", "always-request", "% of full"):
        assert text in shown
    (lines,) = json.loads((tmp_path / "one" / "suite.json").read_text())["agents"].values()
    assert [(line["benchmark"], line["mode"]) for line in lines[:3]] == [
        ("chartqa", "low"),
        ("chartqa", "full"),
        ("chartqa", "always-request"),
    ]
    by = {(line["benchmark"], line["mode"]): line for line in lines}
    assert by["chartqa", "full"]["token_ratio"] == 1
    assert by["chartqa", "always-request"]["request_rate"] == 1
    assert by["chartqa", "full"]["coverage"] == 3 / BENCHMARKS.make("chartqa").size
    assert by["average", "low"]["n"] == 5
    assert evaluate(copies, tmp_path / "two", *modes, "--shards", "2") == 0
    for file in sorted((tmp_path / "one").rglob("episodes.jsonl")):
        other = tmp_path / "two" / file.relative_to(tmp_path / "one")
        assert file.read_text() == other.read_text()


def test_a_suite_without_modes_goes_on(copies, tmp_path):
    assert evaluate(copies, tmp_path / "out") == 0
    before = (tmp_path / "out" / "suite.json").read_text()
    assert evaluate(copies, tmp_path / "out") == 2
    assert evaluate(copies, tmp_path / "out", "--resume") == 0
    assert (tmp_path / "out" / "suite.json").read_text() == before


def test_overwriting_leaves_nothing_of_before(copies, tmp_path):
    out = tmp_path / "out"
    assert evaluate(copies, out, "--agent", "direct", "--mode", "low") == 0
    assert list((out / "direct").rglob("episodes.jsonl"))
    (out / "notes.txt").write_text("mine")
    assert evaluate(copies, out, "--overwrite") == 0
    assert not list((out / "direct").rglob("*.json*"))
    assert [p.name for p in read_results([out]).policies] == ["request"]
    assert (out / "notes.txt").read_text() == "mine"


def test_an_average_needs_every_benchmark():
    def result(score):
        return {
            "n": 1,
            "token_ratio": 1.0,
            "request_rate": 0.0,
            "unscored": 0,
            "generated_tokens": 8.0,
            "agent_seconds": 2.0,
            "refused": 0,
            "metrics": {"coverage": 1.0, **({} if score is None else {"score": score})},
        }

    modes = {"a": {"modes": {"full": result(50.0), "low": result(25.0)}}}
    lines = suite_rows({**modes, "b": {"modes": {"full": result(80.0), "low": result(80.0)}}})
    assert [line["relative"] for line in lines] == [1, 0.5, 1, 1, 1, 0.75]
    lines = suite_rows({**modes, "b": {"modes": {"full": result(None), "low": result(80.0)}}})
    assert [line["relative"] for line in lines[-2:]] == [None, None]


def test_all_of_a_suite_is_known():
    assert set(SUITES["paper"]) <= set(BENCHMARKS.names())
    parts = suite_parts("paper", variant="rules")
    assert [part.name for part in parts] == list(SUITES["paper"])
    asked = suite_parts("paper", ["mmvet"], model="openai:m@http://127.0.0.1:1/v1,concurrency=2")
    judge = benchmark_judge(str(asked[0].judge).partition(":")[2])
    assert "openai:m" in judge.name


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda root: suite_parts("papers"), ConfigError, "Did you mean 'paper'"),
        (lambda root: suite_parts("paper", ["chart"]), ConfigError, "chart"),
        (lambda root: suite_parts("paper"), ConfigError, "--judge-model"),
        (lambda root: suite_parts("paper", ["pope"], root), DataError, "no copy of pope"),
        (lambda root: benchmark_judge("pope,varient=x"), ConfigError, "Did you mean 'variant'"),
        (lambda root: benchmark_judge(""), ConfigError, "needs one of"),
    ],
)
def test_wrong_settings(copies, make, error, message):
    with pytest.raises(error, match=message):
        make(copies)


@pytest.mark.parametrize(
    "more", [["--data", "generated"], ["--judge", "auto"], ["--variant", "fix"]]
)
def test_options_that_do_not_go_together(copies, tmp_path, more):
    try:
        code = evaluate(copies, tmp_path / "out", *more)
    except SystemExit as left:
        code = left.code
    assert code == 2


def test_a_suite_in_a_report(copies, tmp_path):
    modes = ["--mode", "low", "--mode", "full", "--mode", "always-request"]
    out = tmp_path / "out"
    assert evaluate(copies, out, *modes) == 0
    page = tmp_path / "report.html"
    assert main(["report", str(out), "--out", str(page)]) == 0
    results = read_results([out])
    assert [policy.name for policy in results.policies] == [
        "request low",
        "request full",
        "request always-request",
    ]
    low, full, _ = results.policies
    assert [low.numbers["n"], list(low.numbers["by_source"])] == [5, ["chartqa", "realworldqa"]]
    assert low.data == "chartqa, realworldqa"
    arms = arms_of(full, results.policies)
    assert (arms.low, arms.high) == ("request low", "request always-request")
    text = page.read_text()
    assert "<h2>Benchmarks</h2>" in text
    assert "no picture" not in text  # each is found in its own benchmark
    suite = tables_of(make_report([out], page))["benchmarks"]
    assert suite.names[:3] == ["agent", "benchmark", "mode"]
    assert [row[:3] for row in suite.rows[:2]] == [
        ["request", "chartqa", "low"],
        ["request", "chartqa", "full"],
    ]


@pytest.mark.parametrize("broken", ["lines", [1], [{"benchmark": "a"}], [{"n": float("nan")}]])
def test_a_suite_file_that_is_none_is_told(copies, tmp_path, broken):
    out = tmp_path / "out"
    assert evaluate(copies, out) == 0
    path = out / "suite.json"
    told = json.loads(path.read_text())
    told["agents"]["other"] = broken
    path.write_text(json.dumps(told))
    results = read_results([out])
    assert [suite.name for suite in results.suites] == ["request"]
    assert any("lines of a suite" in line for line in results.notes.lines())


def test_shards_of_a_suite_are_merged(copies, tmp_path, capsys):
    modes = ["--mode", "low", "--mode", "full"]
    for name, more in (("whole", modes), ("plain", [])):
        assert evaluate(copies, tmp_path / name, *more) == 0
        shards = [tmp_path / f"{name}-{i}" for i in range(2)]
        for i, shard in enumerate(shards):
            assert evaluate(copies, shard, *more, "--batch", "1", "--shard", f"{i}/2") == 0
        out = tmp_path / f"{name}-merged"
        assert main(["eval", "--merge", *map(str, shards), "--out", str(out)]) == 0
        both = [json.loads((p / "suite.json").read_text()) for p in (out, tmp_path / name)]
        lines = [told["agents"]["request"] for told in both]
        for line in [*lines[0], *lines[1]]:
            assert line.pop("agent_seconds") >= 0
        assert sorted(map(str, lines[0])) == sorted(map(str, lines[1]))
        assert both[0]["agents"]["request"][0]["score"] is not None
        part = json.loads((out / "realworldqa" / "result.json").read_text())
        assert part.get("modes", {"": part}).popitem()[1]["metrics"]["n"] == 2
        alone = [str(shard / "chartqa") for shard in shards]
        assert main(["eval", "--merge", *alone, "--out", str(tmp_path / f"{name}-one")]) == 0
        one = json.loads((tmp_path / f"{name}-one" / "result.json").read_text())
        assert "relaxed_overall" in one.get("modes", {"": one}).popitem()[1]["metrics"]
    capsys.readouterr()


def test_shards_of_several_agents_are_not_merged_as_one(copies, tmp_path, capsys):
    assert evaluate(copies, tmp_path / "a", "--agent", "direct", "--shard", "0/1") == 0
    assert main(["eval", "--merge", str(tmp_path / "a"), "--out", str(tmp_path / "b")]) == 2
    assert "several agents" in capsys.readouterr().err


def test_rows_with_several_pictures_are_played_with_all_of_them(tmp_path, monkeypatch, capsys):
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    rows = [row("mmmu", id=f"validation_Math_{i}") for i in range(4)]
    rows[1] |= {"image_2": rows[1]["image_1"]}
    rows[3] |= {"image_2": rows[3]["image_1"], "image_3": rows[3]["image_1"]}
    table("mmmu", *rows).save_to_disk(tmp_path / "copies" / "mmmu")
    data = ["--suite", "paper", "--benchmark", "mmmu", "--suite-data", str(tmp_path / "copies")]
    out = tmp_path / "out"
    assert main(["eval", *data, "--agent", "request", "--out", str(out)]) == 0
    assert "left out of mmmu" not in capsys.readouterr().out
    result = json.loads((out / "mmmu" / "result.json").read_text())
    assert (result["n"], result["refused"]) == (4, 0)
    lines = (out / "mmmu" / "episodes.jsonl").read_text().splitlines()
    played = [json.loads(line) for line in lines]
    one, two, _, three = (episode["visual_tokens"] for episode in played)
    assert (two, three) == (2 * one, 3 * one)
