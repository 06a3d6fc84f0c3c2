"""The process that can be killed."""

from __future__ import annotations

import os
import pickle
import sys
import time

import pytest

from vt_env.errors import ConfigError
from vt_env.judges import Query
from vt_env.judges.auto import AutoJudge
from vt_env.judges.math_judge import MathJudge
from vt_env.judges.math_process import MathProcess, NoReply

WORKER = """
import json, os, sys, time
print('{"ready": true}', flush=True)
for line in sys.stdin:
    answer, reference = json.loads(line)
    if "h" in answer:
        time.sleep(600)
    if "k" in answer:
        os._exit(3)
    if "g" in answer:
        print("garbage", flush=True)
    elif "r" in answer:
        print(json.dumps({"error": "ValueError: odd"}), flush=True)
    else:
        print(json.dumps({"equal": answer == reference}), flush=True)
"""


@pytest.fixture
def process():
    made = MathProcess(timeout=1.0, command=(sys.executable, "-c", WORKER))
    yield made
    made.close()


def test_one_process_serves_many_questions(process):
    assert process.equal("1", "1") is True
    first = process._process.pid
    assert process.equal("1", "2") is False
    assert process._process.pid == first


@pytest.mark.parametrize(
    ("answer", "message"),
    [("h", "no answer within 1 s"), ("k", "crashed"), ("g", "unreadable"), ("r", "ValueError")],
)
def test_trouble_is_no_reply_and_the_next_question_works(process, answer, message):
    with pytest.raises(NoReply, match=message):
        process.equal(answer, "1")
    assert process.equal("2", "2") is True


def test_a_hanging_process_is_killed(process):
    process.equal("1", "1")
    pid = process._process.pid
    with pytest.raises(NoReply):
        process.equal("h", "1")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_process_that_never_starts():
    process = MathProcess(command=(sys.executable, "-c", "pass"))
    with pytest.raises(NoReply, match="crashed"):
        process.equal("1", "1")


@pytest.mark.parametrize("judge_type", [MathJudge, AutoJudge])
def test_judges_leave_a_hang_unscored_and_go_on(process, judge_type):
    judge = judge_type(process)
    queries = [Query("", ("x+1",), answer) for answer in ("1+x", "h+x", "x+1")]
    verdicts = judge.score([Query("", ("h^2-1",), "(h-1)(h+1)"), *queries[::2]])
    assert verdicts[0].correct is None
    assert "no answer within" in verdicts[0].reason
    assert verdicts[1].correct is False
    assert verdicts[2].correct is True
    judge.close()


def test_a_pickled_copy_starts_its_own_process(process):
    process.equal("1", "1")
    copy = pickle.loads(pickle.dumps(process))
    assert copy.timeout == process.timeout
    assert copy.equal("1", "1") is True
    assert copy._process.pid != process._process.pid
    copy.close()


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan"), float("inf")])
def test_time_outs_must_be_positive(timeout):
    with pytest.raises(ConfigError):
        MathProcess(timeout=timeout)


@pytest.mark.slow
def test_a_real_hang_is_ended():
    pytest.importorskip("math_verify")
    process = MathProcess(timeout=2.0)
    started = time.monotonic()
    verdict = MathJudge(process).score([Query("", ("x^2",), "9^{9^{9^{9}}} x")])[0]
    assert verdict.correct in (None, False)
    assert time.monotonic() - started < 120
    process.close()
