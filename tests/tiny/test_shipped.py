"""The policy that comes with the package is what its card says."""

import json
import re

import pytest

from agents import make_agent
from agents.models import load_vlm
from agents.shipped import PAGES
from agents.tiny.pages.measure import BARS, measure
from experiments.recipe import load_recipe
from vt_env.sealed import opened_line

CARD = (PAGES / "README.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (-?[\d.]+) \|", CARD, re.MULTILINE))


@pytest.fixture(scope="module")
def vlm():
    return load_vlm(str(PAGES), dtype="float32")


def test_the_card_has_every_bar_and_how_it_was_made() -> None:
    assert ROWS.keys() == {bar.figure for bar in BARS}
    for bar in BARS:
        told = next(line for line in CARD.splitlines() if f"`{bar.figure}` |" in line)
        assert bar.reached(float(ROWS[bar.figure])) != ("missed" in told)
    assert "vt warmup pages" in CARD


def test_the_log_leads_to_the_steps_that_the_card_names() -> None:
    lines = (PAGES / "log.jsonl").read_bytes().splitlines()
    steps = [opened_line(line, "log")["step"] for line in lines]
    assert steps == sorted(steps)
    assert f"{steps[-1]:,} steps" in CARD


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in PAGES.iterdir()) < 5_000_000
    assert json.loads((PAGES / "config.json").read_text("utf-8"))["model_type"] == "qwen2_5_vl"


def test_recipes_and_agents_find_it() -> None:
    for recipe in ("pages", "pages-zoom"):
        assert load_recipe(recipe).model.path == str(PAGES)
    assert make_agent("pages").vlm.model.num_parameters() < 2_100_000


def test_it_reads_and_finds_as_its_card_says(vlm) -> None:
    found = measure(vlm, n=200, seed=5, batch=200)
    for name in ("half_large", "full_small", "full_large", "crop_small", "crop_large",
                 "box_small", "box_large", "well_formed"):  # fmt: skip
        assert found[name] > float(ROWS[name]) - 0.05, name
    assert found["half_small"] < 0.25
    for form in ("resize", "zoom"):
        assert abs(found[f"{form}_rate"] - float(ROWS[f"{form}_rate"])) < 0.15
