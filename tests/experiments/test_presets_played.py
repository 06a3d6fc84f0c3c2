"""``vt eval --protocol NAME``: every preset, on questions of one's own about several pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluations import lines, vt
from PIL import Image

from vt_env import ConfigError, make_protocol, token_counter
from vt_env.protocol import PRESETS


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Two questions, each about a list of two pictures; those of the second stand on their side."""
    rows = []
    for number, orientation in enumerate((1, 6)):
        images = [f"{number}-{place}.jpg" for place in range(2)]
        exif = Image.Exif()
        exif[274] = orientation
        for place, name in enumerate(images):
            pixels = np.full((240, 320 + 40 * place, 3), 90, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        row = {"id": str(number), "images": images, "question": "What is in <image 2>?"}
        rows.append({**row, "answers": ["x"], "answer_box": [100, 40, 180, 120]})
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{tmp_path}/own.jsonl"


@pytest.mark.parametrize("name", PRESETS)
def test_the_oracle_looks_at_the_box_of_ones_own_data(name: str, own: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        vt("eval", "--agent", "zoom-oracle", "--protocol", name, "--data", own, "--out", out) == 0
    )
    sideways = [[240, 320], [240, 360]]
    upright = [[320, 240], [360, 240]]
    for row, sizes in zip(lines(out / "episodes.jsonl"), (upright, sideways), strict=True):
        (first, second, *asked) = row["regions"]
        assert [first[0], second[0]] == [0, 1]
        assert [first[3:], second[3:]] == sizes
        zooms = name not in ("visionthink", "general", "low")
        assert len(asked) == zooms
        for picture, left, top, right, bottom in asked:
            assert picture == 0
            assert (left, top) <= (100, 40)
            assert (right, bottom) >= (180, 120)


def test_budgets_are_those_for_measuring_unless_others_are_asked_for(tmp_path: Path) -> None:
    told = {}
    for stage in ("evaluation", "training"):
        asked = () if stage == "evaluation" else ("--stage", stage)
        vt("eval", "--agent", "direct", "--protocol", "mini-o3", "--data", "generated:n=2",
           "--out", tmp_path / stage, *asked)  # fmt: skip
        told[stage] = json.loads((tmp_path / stage / "evaluation.json").read_text())
    assert [told[stage]["max_turns"] for stage in told] == [12, 6]
    for stage, config in told.items():
        assert config["max_turns"] == make_protocol("mini-o3", stage=stage).max_turns
        assert (config["max_pictures"], config["over_budget"]) == (12, "unscored")


def test_a_first_look_by_tokens_and_budgets_of_ones_own(tmp_path: Path) -> None:
    rules = "--first-look tokens:64 --max-visual-tokens 400 --max-pictures 3 --over-budget unscored"
    vt("eval", "--agent", "zoom-random", "--protocol", "deepeyes", "--data",
       "generated:n=2,side=128", "--out", tmp_path, *rules.split())  # fmt: skip
    told = json.loads((tmp_path / "evaluation.json").read_text())
    assert told["first_look"] == "tokens:64"
    assert (told["max_visual_tokens"], told["max_pictures"]) == (400, 3)
    assert told["over_budget"] == "unscored"
    for row in lines(tmp_path / "episodes.jsonl"):
        assert token_counter("tiny").count(*row["views"][0]) == 64


def test_two_sizes_of_the_first_look_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"factor=0\.5 and first_look='tokens:64' both say"):
        make_protocol("deepeyes", factor=0.5, first_look="tokens:64")
