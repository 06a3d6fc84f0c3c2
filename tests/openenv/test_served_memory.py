"""Long answers to a server do not stay in its memory, whoever judges them."""

# pyright: reportMissingImports=false
from __future__ import annotations

import gc
from pathlib import Path

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from remote_sessions import made_samples, raw

from agents import answer_turn
from trainers.openenv.messages import TEXT_LIMIT
from trainers.openenv.server import Serving, served
from vt_env import make_task


def resident() -> float:
    """MiB of this process, in which the server is."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def play(url: str, numbers: range) -> None:
    """Sessions of one episode each, with answers of a mebibyte that all differ."""
    for number in numbers:
        with raw(url) as session:
            session.say("reset", index=number % 4)
            text = answer_turn(f"{number} " + "\U0001f600" * (TEXT_LIMIT - 200), "x")
            reply = session.say("step", text=text)
            assert reply["data"]["reward"] == 0.5


@pytest.mark.parametrize("judge", ["auto", "exact"])
def test_long_answers_do_not_stay(judge: str) -> None:
    with served(make_task(made_samples(4), judge=judge), Serving(port=0)) as url:
        play(url, range(10))
        before = resident()
        play(url, range(10, 60))
        assert resident() - before < 25  # 50 MiB would stay if they were kept
