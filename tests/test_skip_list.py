"""A skip that nobody expects fails the run, in one process and in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from skip_list import LISTS, unexpected

TEST = """
import pytest

def test_one():
    assert True

def test_two():
    pytest.importorskip("vllm_of_nobody", reason={reason!r})
"""


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(
    ("reason", "code"), [("needs an environment of its own: x", 0), ("no browser", 1)]
)
def test_an_unexpected_skip_fails_the_run(tmp_path, reason, code, processes):
    (tmp_path / "test_it.py").write_text(TEST.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-n", processes, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-p", "skip_list", "--skips", "environment", "--rootdir", ".", "test_it.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parent), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert f"skipped 1: {reason}" in done.stdout
    assert ("not in the list 'environment'" in done.stdout) is bool(code)


def test_nothing_is_expected_of_a_guest():
    assert LISTS["guest"] == []
    assert unexpected(["could not import 'trl'"], LISTS["guest"])
    assert not unexpected(["verl is not installed: No module"], LISTS["environment"])
