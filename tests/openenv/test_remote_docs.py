"""The page on it and the example, as a reader would try them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from remote_sessions import made_task
from test_remote_episode import Recites

from agents import answer_turn, request_turn
from examples.remote import play
from trainers.openenv.server import served
from vt_env.rewards import RewardConfig

PAGE = (Path(__file__).parents[2] / "docs" / "environment.md").read_text("utf-8")
BLOCKS = [
    block for block in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "trainers.openenv" in block
]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_what_the_page_shows(number, capsys):
    exec(compile(BLOCKS[number], f"block {number}", "exec"), {"__name__": "page"})
    assert len(capsys.readouterr().out.splitlines()) >= 4


def test_the_page_has_examples():
    assert BLOCKS


def test_the_example(capsys):
    right = answer_turn("zero", "x")
    agent = Recites([right], [request_turn("x"), right])
    with served(made_task()) as url:
        asyncio.run(play(url, agent, 1, 2, RewardConfig(), None))
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["asked"] for row in rows] == [False, True]
    assert [row["penalty"] for row in rows] == [0.0, 0.1]
