"""``vt compare``: what changed between two results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluations import lines, vt

from experiments.files import json_line
from experiments.summary import mcnemar


def played(out: Path, agent: str, n: int = 24, *more: str) -> Path:
    data = f"generated:n={n}"
    assert vt("eval", "--agent", agent, "--data", data, "--out", out, *more) == 0
    return out


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    return played(folder / "a", "direct"), played(folder / "b", "random:p=0.5")


def compared(a: Path, b: Path, out: Path, *more: str) -> dict:
    assert vt("compare", a, b, "--out", out, *more) == 0
    return json.loads(out.read_text())


def test_everything_that_changed(pair, tmp_path: Path, capsys) -> None:
    found = compared(*pair, tmp_path / "c.json")
    a, b = ({row["id"]: row for row in lines(p / "episodes.jsonl")} for p in pair)
    assert found["n"] == 24
    assert found["settings"]["agent"] == ["direct", "random:p=0.5"]
    assert "data" not in found["settings"]
    right = [i for i in a if b[i]["correct"] and not a[i]["correct"]]
    asks = [i for i in a if b[i]["requested"]]
    assert right
    assert found["changes"]["wrong → right"] == right
    assert found["changes"]["now asks"] == asks
    assert found["changes"]["right → wrong"] == []
    metrics = found["metrics"]
    assert metrics["accuracy"]["difference"] == pytest.approx(len(right) / 24)
    assert metrics["accuracy"]["p"] == mcnemar(0, len(right))
    assert metrics["request_rate"]["difference"] == pytest.approx(len(asks) / 24)
    shown = [sum(row["visual_tokens"] for row in rows.values()) for rows in (a, b)]
    full = sum(row["full_tokens"] for row in a.values())
    assert metrics["token_ratio"]["difference"] == pytest.approx((shown[1] - shown[0]) / full)
    assert metrics["generated_tokens"]["n"] == 0
    assert sum(part["n"] for part in found["by_kind"].values()) == 24
    changed = sum(part["changes"]["wrong → right"] for part in found["by_kind"].values())
    assert changed == len(right)
    assert set(found["by_source"]) == {"generated"}
    screen = capsys.readouterr().out
    assert f"now asks: {len(asks)}: {asks[0]}" in screen
    if len(asks) > 10:
        assert f"({len(asks) - 10} more)" in screen
        assert asks[-1] not in screen.partition("now asks:")[2].partition("\n")[0]


def test_the_other_way_round_is_the_opposite(pair, tmp_path: Path) -> None:
    there = compared(*pair, tmp_path / "1.json")["metrics"]
    back = compared(*pair[::-1], tmp_path / "2.json")["metrics"]
    assert there["accuracy"]["difference"]
    for name, one in there.items():
        if one["difference"] is not None:
            assert back[name]["difference"] == pytest.approx(-one["difference"])
            assert back[name].get("p") == one.get("p")


def test_a_result_beside_itself(pair, tmp_path: Path, capsys) -> None:
    found = compared(pair[0], pair[0], tmp_path / "c.json")
    assert found["settings"] == {}
    assert not any(found["changes"].values())
    assert found["metrics"]["accuracy"]["interval_95"] == [0.0, 0.0]
    assert "no sample changed" in capsys.readouterr().out


def test_other_data_is_refused_unless_asked_for(pair, tmp_path: Path, capsys) -> None:
    longer = played(tmp_path / "longer", "direct", 30)
    assert vt("compare", pair[0], longer) == 2
    error = capsys.readouterr().err
    assert "6 samples are only in" in error
    assert "--by-id intersect" in error
    found = compared(pair[0], longer, tmp_path / "c.json", "--by-id", "intersect")
    assert (found["n"], len(found["only_b"]), found["only_a"]) == (24, 6, [])


def test_ids_that_mean_something_else_are_left_out(pair, tmp_path: Path, capsys) -> None:
    rows = lines(pair[0] / "episodes.jsonl")
    for row in rows[:3]:
        row["question"] += " Really?"
    other = tmp_path / "other.jsonl"
    other.write_text("".join(map(json_line, rows)))
    assert vt("compare", pair[0], other) == 2
    assert "3 samples have another question" in capsys.readouterr().err
    found = compared(pair[0], other, tmp_path / "c.json", "--by-id", "intersect")
    assert found["n"] == 21
    assert found["asked_otherwise"] == [row["id"] for row in rows[:3]]


def test_nothing_in_common(pair, tmp_path: Path, capsys) -> None:
    rows = [{**row, "id": f"x{row['id']}"} for row in lines(pair[0] / "episodes.jsonl")]
    (tmp_path / "x.jsonl").write_text("".join(map(json_line, rows)))
    assert vt("compare", pair[0], tmp_path / "x.jsonl", "--by-id", "intersect") == 2
    assert "no sample in common" in capsys.readouterr().err


def test_other_pictures_under_the_same_questions(pair, tmp_path: Path, capsys) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("episodes.jsonl", "result.json"):
        (other / name).write_text((pair[0] / name).read_text())
    found = json.loads((other / "result.json").read_text())
    found["provenance"]["data"] = "0" * 64
    (other / "result.json").write_text(json.dumps(found))
    assert vt("compare", pair[0], other) == 2
    assert "the data was another one" in capsys.readouterr().err
    assert vt("compare", pair[0], other, "--by-id", "intersect") == 0


def test_modes_are_compared_by_their_folders(tmp_path: Path, capsys) -> None:
    out = played(tmp_path / "m", "direct", 12, "--mode", "low", "--mode", "full")
    assert vt("compare", out / "low", out / "full") == 0
    screen = capsys.readouterr().out
    assert "mode" in screen
    assert vt("compare", out, out / "full") == 2
    assert "choose one of" in capsys.readouterr().err


def test_folders_of_modes_or_benchmarks_are_compared_name_by_name(tmp_path: Path, capsys) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("vstar/low", "vstar/full", "pope/low"):
        played(ours / name, "direct", 6)
        if name != "pope/low":
            played(theirs / name, "random:p=0.5", 6)
    page, told = tmp_path / "both.html", tmp_path / "told.json"
    for more in ((), ("--overwrite",)):
        assert vt("compare", ours, theirs, "--out", told, "--page", page, *more) == 0
    shown = capsys.readouterr().out
    assert "only_a: pope/low" in shown
    found = json.loads(told.read_text())
    assert list(found["pairs"]) == ["vstar/full", "vstar/low"]
    assert found["pairs"]["vstar/low"] == compared(
        ours / "vstar/low", theirs / "vstar/low", tmp_path / "one.json"
    )
    assert "12 samples in common" in page.read_text()
    assert vt("compare", ours / "pope", theirs) == 2
    assert "no result of the same name" in capsys.readouterr().err


def test_what_cannot_be_written_is_one_line(pair, tmp_path: Path, capsys) -> None:
    assert vt("compare", *pair, "--out", tmp_path / "no" / "c.json") == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_page_has_both_beside_each_other(pair, tmp_path: Path, capsys) -> None:
    page = tmp_path / "both.html"
    assert vt("compare", *pair, "--page", page) == 0
    text = page.read_text()
    assert "24 samples in common" in text
    assert "all samples, B - A" in text
    assert '"beside":1' in text
    assert vt("compare", *pair, "--page", page) == 2
    assert vt("compare", *pair, "--page", page, "--overwrite") == 0
    assert vt("compare", pair[0] / "episodes.jsonl", pair[1], "--page", tmp_path / "x.html") == 2
    assert "both must be folders" in capsys.readouterr().err
