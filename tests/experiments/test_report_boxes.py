"""What a policy looked at closer: boxes on the source picture, parts as it saw them, in order."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from evaluations import lines, vt
from PIL import Image

from experiments.report import ReportConfig, make_report
from experiments.report.gallery import parts_of
from vt_env.pictures import Picture
from vt_env.regions import Box
from vt_env.sources import open_source

DATA = "pages:n=6,kinds=form"


@pytest.fixture(scope="module")
def zoomed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("zoomed")
    modes = [w for m in ("visionthink", "no-tool", "blank", "oracle-crop") for w in ("--mode", m)]
    rules = ["--protocol", "qwen3-vl", "--factor", "0.5"]
    assert vt("eval", "--agent", "zoom-oracle", "--data", DATA, "--out", out, *rules, *modes) == 0
    return out


def islands(page: Path, name: str):
    text = page.read_text("utf-8")
    return json.loads(text.partition(f'id="{name}">')[2].partition("</script>")[0])


def decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


def test_every_box_is_where_it_was_cut_and_its_part_is_what_was_seen(zoomed: Path) -> None:
    page = make_report([zoomed], zoomed / "report.html").page
    samples, pictures = islands(page, "samples"), islands(page, "pictures")
    names = [policy["name"] for policy in islands(page, "meta")["policies"]]
    rows = {row["id"]: row for row in lines(zoomed / "visionthink" / "episodes.jsonl")}
    source = open_source(DATA)
    for episode in islands(page, f"episodes-{names.index('visionthink')}"):
        sample = samples[episode["sample"]]
        row, width, height = rows[sample["id"]], *sample["size"]
        (first, (picture, ends, told, place)) = episode["parts"]
        assert first is None
        assert picture == 0
        box = Box(*row["regions"][1][1:])
        assert told == str(box)
        assert ends == pytest.approx(
            [box.left / width, box.top / height, box.width / width, box.height / height], abs=1e-3
        )
        cut = Picture(source.by_id(sample["id"]).image).crop(box).image
        seen = decoded(pictures[place])
        wanted = cut.resize(seen.shape[1::-1], Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(wanted, float) - seen).mean() < 4
        assert episode["answered"] == [1, 0]
        assert [does for _, does, _ in episode["turns"]] == ["calls", "answers"]
    for episode in islands(page, f"episodes-{names.index('blank')}"):
        assert episode["parts"][1][3] is None  # a grey picture, not this part, was seen


def test_the_filters_pair_with_the_reference_modes(zoomed: Path) -> None:
    page = make_report([zoomed], zoomed / "report.html").page
    (policy,) = [p for p in islands(page, "meta")["policies"] if p["name"] == "visionthink"]
    right = {
        mode: {r["id"]: r["correct"] for r in lines(zoomed / mode / "episodes.jsonl")}
        for mode in ("visionthink", "no-tool")
    }
    played, without = right["visionthink"], right["no-tool"]
    counts = {name: policy["counts"][name]["found"] for name in ("helped", "harmed", "needless")}
    assert counts == {
        "helped": sum(played[i] and not without[i] for i in played),
        "harmed": sum(without[i] and not played[i] for i in played),
        "needless": sum(without.values()),
    }
    assert counts["helped"] > 0
    assert "no-tool, which never asks" in policy["told"]
    assert "the place of the answer" in policy["told"]


def test_parts_beyond_the_cap_are_left_out_and_it_is_said(zoomed: Path, tmp_path: Path) -> None:
    rows = lines(zoomed / "visionthink" / "episodes.jsonl")[:1]
    rows[0]["regions"] += [[0, 0, 0, 60, 60], [0, 9, 9, 40, 40]]
    rows[0]["views"] += [[60, 60], [31, 31]]
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = make_report([tmp_path], tmp_path / "few.html", ReportConfig(data=DATA, pictures=2))
    assert any("1 are shown by size alone" in note for note in report.notes)


@pytest.mark.parametrize(
    "regions", [[[0, 5, 5, 1, 1], [0, 0, 0, 9e9, 9e9]], [[0, 0, 0, 8, 8], [99, 0, 0, 1, 1]],
                [None, [-1, 0, 0, 1, 1]]],
)  # fmt: skip
def test_regions_that_are_none_break_nothing(zoomed: Path, tmp_path: Path, regions) -> None:
    rows = lines(zoomed / "visionthink" / "episodes.jsonl")
    rows[0]["regions"], rows[1]["views"] = regions, []
    (tmp_path / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = make_report([tmp_path], tmp_path / "page.html", ReportConfig(data=DATA))
    assert len(islands(report.page, "episodes-0")) == 6
    assert len(parts_of({**rows[1], "regions": [[0, 0, 0, 1, 1]]})) == 0
