"""Whoever of a run of verl is killed, at random moments, saves included: nothing is lost.

verl itself is a stand-in that logs and saves as it does. What starts it, follows it, keeps its
models and resumes it is real. Either the process that follows is killed, or it and the library.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import following
from killing import MOMENTS, leading, log_of
from stand_in_verl import weights
from verl_runs import run_of

from trainers.results import LOCK
from trainers.runs import store_of

SETTINGS = ("steps=6", "checkpoint.every=1", "checkpoint.keep=2", "evaluation.every=0")


@pytest.fixture
def begun(untrained, tmp_path):
    """A run in a folder of that name, ready to be resumed; and what follows it."""
    with ExitStack() as followers:

        def make(name):
            run = run_of(untrained, tmp_path / name, *SETTINGS, parameters=1000)
            return run, followers.enter_context(leading(run, following.follow, run.out))

        yield make


def library_is_gone(run):
    """Wait until nobody holds the run's lock."""
    import fcntl

    with (run.out / LOCK).open("a") as stream:
        for _ in range(600):
            with suppress(BlockingIOError):
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.1)
    raise AssertionError("the library does not end")


def kill_library(run):
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        number = int((run.folder / "pid").read_text())
        if str(run.folder).encode() in Path(f"/proc/{number}/cmdline").read_bytes():
            os.kill(number, signal.SIGKILL)


@pytest.mark.slow
def test_killed_at_random_moments(begun):
    pytest.importorskip("fcntl")
    whole, follower = begun("whole")
    seconds, killed, runs = follower.whole(), 0, 0
    while killed < MOMENTS:  # in another run, where one came to its end
        runs, done = runs + 1, 0
        run, follower = begun(f"parts-{runs}")
        while killed < MOMENTS and done < run.config.steps:
            killed += follower.kill(seconds / 3)
            if killed % 2:
                kill_library(run)
                library_is_gone(run)
            if kept := store_of(run.config, run.out).newest():
                done = kept.step
                model = kept.folder / "model" / "model.safetensors"
                assert model.read_bytes() == weights(done)
        library_is_gone(run)
        result = following.resumed(run.out)
        assert result.steps == 6
        assert (result.checkpoint / "model.safetensors").read_bytes() == weights(6)
        assert log_of(run.out) == log_of(whole.out)
        assert [row["step"] for row in log_of(run.out)] == [1, 2, 3, 4, 5, 6]
