"""The glossary's metrics are those that runs write: none is missing, none is made up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agents.judging.usage import Usage
from experiments.recipe import load_recipe
from trainers import make_trainer
from trainers.files import CHECKSUM

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
_LITERAL = re.compile(r'"((?:train|rollout|reward|env|time|judge)/[a-z_]+)"')


def documented() -> set[str]:
    """The names in the table: a name without a family has that of the first in its row."""
    text = (ROOT / "docs" / "glossary.md").read_text("utf-8").partition("## Metrics")[2]
    names: set[str] = set()
    for line in text.splitlines():
        found = re.findall(r"`([^`]+)`", line.partition("|")[2].partition("|")[0])
        for name in found:
            family = found[0].partition("/")[0]
            if name.startswith("…/"):
                names.add(f"{found[0]}/{name[2:]}")
            else:
                names.add(name if "/" in name else f"{family}/{name}")
    return names - {"eval/…", "before/…"}


def generic(name: str) -> str:
    return re.sub(r"(request_rate)/\w+", r"\1/KIND", name)


def test_every_metric_of_a_run_is_in_the_glossary_and_no_other(tmp_path, tiny, small):
    settings = (f"model.path={tiny}", "algorithm.name=ppo", "algorithm.options={}")
    config = load_recipe("laptop", (*small, *settings, "steps=1", "rollout.probes=0"))
    make_trainer("local").train(config, tmp_path / "run")
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    written = {generic(name) for name in row.keys() - {"step", CHECKSUM}}
    named = documented()
    assert {name for name in written if not name.startswith("eval/")} <= named
    sources = [path.read_text("utf-8") for path in (ROOT / "trainers").rglob("*.py")]
    literal = {name for text in sources for name in _LITERAL.findall(text)}
    judged = {f"judge/{name}" for name in Usage().numbers()}
    conditional = {"train/forced_trained"}  # only where tokens were forced
    assert named <= written | literal | judged | conditional
