"""The judge ``openai`` against real servers: what they do wrong is never a wrong verdict."""

from __future__ import annotations

import email.utils
import json
import socket
import sys
import threading
import time

import pytest
from chat_server import ChatServer, completion, says

from agents.judging import ModelJudge
from agents.llm import share_requests
from vt_env.errors import JudgeError, MissingExtra
from vt_env.judges import Query, make_judge

pytest.importorskip("httpx2")

QUICK = "timeout=0.4,deadline=1.5,tries=3,backoff=0.02,canaries=0"
RIGHT = Query("What is the man holding?", ("an umbrella",), "a black umbrella")
MANY = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(40)]


def judge_of(server: ChatServer | str, options: str = QUICK) -> ModelJudge:
    url = server if isinstance(server, str) else server.url
    return make_judge(f"openai:m@{url},{options}")  # type: ignore[return-value]


def test_a_verdict_comes_from_the_model_and_is_constrained_to_a_choice():
    with ChatServer(says("right")) as server, judge_of(server) as judge:
        (verdict,) = judge.score([RIGHT])
        assert (verdict.correct, verdict.judge) == (True, "openai:m")
        request = server.requests[0]
        assert request["structured_outputs"] == {"choice": ["right", "wrong"]}
        assert request["temperature"] == 0
        assert "a black umbrella" in server.asked()
        assert (judge.usage.tokens_in, judge.usage.tokens_out) == (100, 2)


def body(**parts):
    return {"body": json.dumps(parts)}


FAULTS = {
    "hangs": {"fault": "hang"},
    "closes within its reply": {"fault": "cut", "text": "right"},
    "trickles": {"fault": "trickle", "text": "right"},
    "breaks": {"status": 500, "body": "right"},
    "is overrun for long": {"status": 429, "headers": {"Retry-After": "3600"}, "body": "right"},
    "sends garbage": {"body": "right \x00\ufffd <html>"},
    "sends a word": {"body": '"right"'},
    "sends a list": {"body": "[]"},
    "sends no choices": body(choices=[]),
    "sends choices of another kind": body(choices={"message": {"content": "right"}}),
    "sends a message that is text": body(choices=[{"message": "right"}]),
    "sends no text": {"body": completion(None)},  # type: ignore[arg-type]
    "sends content blocks": {"body": completion([{"type": "text", "text": "right"}])},  # type: ignore[arg-type]
    "says a score with the digit": {"text": "Score: 0 (criterion 1)"},
    "says more than the verdict": {"text": "The candidate is right"},
    "says the verdict twice": {"text": "right right"},
    "says both": {"text": "right or wrong"},
    "says a longer word": {"text": "rightly"},
    "says nothing": {"text": ""},
    "never ends its thoughts": {"text": "<think>it is right\nright"},
    "refuses": {"body": completion("right", refusal="I cannot judge that")},
    "does not know the model": {"status": 404, "body": '{"error": {"message": "no model m"}}'},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_unscored_within_the_deadline(fault: str):
    with ChatServer(lambda *_: FAULTS[fault]) as server, judge_of(server) as judge:
        began = time.monotonic()
        verdicts = judge.score([RIGHT, MANY[0]])
        assert time.monotonic() - began < 4
        assert [(v.correct, v.score) for v in verdicts] == [(None, None)] * 2
        assert all(v.reason for v in verdicts)
        assert judge.usage.failed == 2
        assert len(server.requests) <= 2 * 3


def test_a_server_that_is_not_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with judge_of(url) as judge:
        (verdict,) = judge.score([RIGHT])
        assert verdict.correct is None
        assert "cannot reach the server" in verdict.reason
        assert judge.usage.tries == 3


@pytest.mark.parametrize(
    "fault", ["hangs", "closes within its reply", "breaks", "sends garbage", "says both"]
)
def test_after_recovery_nothing_was_lost_or_judged_twice(fault: str, tmp_path):
    down = threading.Event()
    judged: list[str] = []

    def behave(request, _):
        if down.is_set():
            return FAULTS[fault]
        judged.append(request["messages"][-1]["content"].split("\n")[-6])
        return {"text": "right" if "thing 1" in request["messages"][-1]["content"] else "wrong"}

    patient = "timeout=1.5,deadline=3,tries=1,canaries=0,max_failures=1,concurrency=40"
    options = f"{patient},cache={tmp_path / 'cache.sqlite'}"
    with ChatServer(behave) as server, judge_of(server, options) as judge:
        first = judge.score(MANY[:20])
        down.set()
        during = judge.score(MANY)
        assert during[:20] == first
        assert {v.correct for v in during[20:]} == {None}
        down.clear()
        after = judge.score(MANY)
        assert [v.correct for v in after] == [i == 1 or 10 <= i < 20 for i in range(40)]
        assert len(judged) == 40
        assert judge.usage.answered == 40
        assert judge.usage.failed == 20


def test_retry_after_is_obeyed_and_holds_everyone_back():
    def behave(_, number):
        if number == 0:
            return {"status": 429, "headers": {"Retry-After": "0.5"}, "body": "{}"}
        return {"text": "right"}

    options = "timeout=2,deadline=5,backoff=0.01,concurrency=1,canaries=0"
    with ChatServer(behave) as server, judge_of(server, options) as judge:
        assert [v.correct for v in judge.score(MANY[:3])] == [True] * 3
        assert server.times[1] - server.times[0] >= 0.5
        assert judge.usage.tries == 4


def test_retry_after_may_be_a_date():
    def behave(_, number):
        until = email.utils.formatdate(time.time() + 2, usegmt=True)
        limit = {"status": 503, "headers": {"Retry-After": until}, "body": "{}"}
        return {"text": "right"} if number else limit

    options = "timeout=2,deadline=5,backoff=0.01,canaries=0"
    with ChatServer(behave) as server, judge_of(server, options) as judge:
        assert judge.score([RIGHT])[0].correct is True
        assert 0.8 <= server.times[1] - server.times[0] <= 3


def test_a_passing_fault_is_tried_again_with_growing_waits():
    replies = [{"status": 500, "body": ""}, {"text": "maybe"}, {"text": "wrong"}]
    options = "timeout=1,deadline=5,tries=3,backoff=0.1,canaries=0"
    with ChatServer(lambda _, n: replies[n]) as server, judge_of(server, options) as judge:
        assert judge.score([RIGHT])[0].correct is False
        waits = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
        assert 0.05 <= waits[0] <= 0.8
        assert 0.1 <= waits[1] <= 1.0
        assert judge.usage.tokens_in == 200  # the unreadable reply was paid for too


def test_concurrency_is_capped():
    with (
        ChatServer(lambda *_: {"text": "wrong", "delay": 0.02}) as server,
        judge_of(server, "concurrency=5,canaries=0") as judge,
    ):
        judge.score(MANY)
        assert 2 <= server.most_at_once <= 5


def test_processes_that_play_together_share_the_bound(monkeypatch):
    monkeypatch.setattr("agents.llm.client._processes", 1)  # put back at the end
    for processes, most in ((4, 2), (100, 1)):
        share_requests(processes)
        with (
            ChatServer(lambda *_: {"text": "wrong", "delay": 0.02}) as server,
            judge_of(server, "concurrency=8,canaries=0") as judge,
        ):
            assert None not in [verdict.correct for verdict in judge.score(MANY)]
            assert 1 <= server.most_at_once <= most


@pytest.mark.parametrize("message", ["Unrecognized request argument: structured_outputs", "no"])
def test_a_server_that_refuses_the_choice_is_asked_without_it_from_then_on(message, caplog):
    def behave(request, _):
        if "structured_outputs" in request:
            return {"status": 400, "body": f'{{"error": {{"message": "{message}"}}}}'}
        return {"text": "right"}

    with ChatServer(behave) as server, judge_of(server, f"{QUICK},concurrency=1") as judge:
        assert [v.correct for v in judge.score(MANY[:3])] == [True] * 3
        assert len(server.requests) == 4
        assert judge.usage.tries == 3
        assert caplog.text.count("refuses structured_outputs") == 1


def test_a_server_for_which_parameters_have_other_names():
    def behave(request, _):
        for name in ("temperature", "max_tokens", "structured_outputs"):
            if name in request:
                return {"status": 400, "body": f'{{"error": {{"message": "no {name} here"}}}}'}
        return {"text": "right"}

    with ChatServer(behave) as server, judge_of(server) as judge:
        assert judge.score([RIGHT])[0].correct is True
        assert server.requests[-1]["max_completion_tokens"] == 16


def test_a_request_that_the_server_cannot_take_is_not_blamed_on_the_choice():
    def behave(request, _):
        too_long = '{"error": {"message": "the prompt is too long"}}'
        long = "thing 0" in request["messages"][-1]["content"]
        return {"status": 400, "body": too_long} if long else {"text": "right"}

    with ChatServer(behave) as server, judge_of(server, f"{QUICK},concurrency=1") as judge:
        first, second = judge.score(MANY[:2])
        assert (first.correct, second.correct) == (None, True)
        assert "the prompt is too long" in first.reason
        assert "structured_outputs" in server.requests[-1]


def test_thoughts_are_not_read():
    replies = [
        completion("<think>It could be wrong.\nwrong</think>\n\nright"),
        completion("it is wrong, no: </think>right."),
        completion("RIGHT", reasoning_content="wrong wrong"),
    ]
    with ChatServer(lambda _, n: {"body": replies[n]}) as server:
        options = f"{QUICK},concurrency=1,max_tokens=4096"
        with judge_of(server, options) as judge:
            assert [v.correct for v in judge.score(MANY[:3])] == [True] * 3


def test_scores_come_from_the_two_words_probabilities():
    tokens = [
        {"token": "<think>", "logprob": 0.0, "top_logprobs": []},
        {"token": "</think>", "logprob": 0.0, "top_logprobs": []},
        {
            "token": "right",
            "logprob": -0.2231,
            "top_logprobs": [
                {"token": "right", "logprob": -0.2231},
                {"token": " wr", "logprob": -2.3026},
                {"token": "Perhaps", "logprob": -2.3026},
            ],
        },
    ]
    reply = json.loads(completion("<think></think>right"))
    reply["choices"][0]["logprobs"] = {"content": tokens}
    with (
        ChatServer(lambda *_: {"body": json.dumps(reply)}) as server,
        judge_of(server, f"{QUICK},scores=true") as judge,
    ):
        (verdict,) = judge.score([RIGHT])
        assert verdict.score == pytest.approx(0.8 / 0.9, abs=1e-3)
        assert server.requests[0]["logprobs"] is True
        with judge_of(server) as judge:
            assert judge.score([RIGHT])[0].score == 1
            assert "logprobs" not in server.requests[-1]


def test_too_many_failures_stop_with_an_error_and_no_request_is_left():
    with ChatServer(lambda *_: {"status": 401, "body": "{}"}) as server:
        options = f"{QUICK},failures_over=10,concurrency=2"
        with judge_of(server, options) as judge:
            with pytest.raises(JudgeError, match=r"failed in 10 of its last 10 .*HTTP 401"):
                judge.score(MANY)
            assert len(server.requests) <= 13
            server.behave = says("right")
            assert {v.correct for v in judge.score(MANY)} == {True}  # and it goes on


def test_the_error_of_a_batch_that_nobody_waited_for_reaches_the_next_one():
    with (
        ChatServer(lambda *_: {"status": 401, "body": "{}"}) as server,
        judge_of(server, f"{QUICK},failures_over=5") as judge,
    ):
        judge.begin(MANY[:5])
        deadline = time.monotonic() + 5
        while judge.usage.failed < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(JudgeError):
            judge.score(MANY[5:6])


def test_what_was_begun_is_picked_up():
    with (
        ChatServer(lambda *_: {"text": "right", "delay": 0.4}) as server,
        judge_of(server, "canaries=0") as judge,
    ):
        judge.begin(MANY[:10])
        judge.begin(MANY[:10])
        assert {v.correct for v in judge.score(MANY[:10])} == {True}
        assert len(server.requests) == 10
        usage = judge.usage
        assert (usage.queries, usage.shared, usage.hit_rate) == (10, 10, 0)
        judge.score(MANY[:10])
        assert judge.usage.hit_rate == 0.5


def test_many_threads_ask_each_query_once():
    with (
        ChatServer(lambda *_: {"text": "right", "delay": 0.05}) as server,
        judge_of(server, "canaries=0") as judge,
    ):
        found = []
        threads = [
            threading.Thread(target=lambda: found.append(judge.score(MANY))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all(verdicts == found[0] for verdicts in found)
        assert len(server.requests) == len(MANY)


def test_closing_gives_up_what_is_being_asked():
    with ChatServer(lambda *_: {"fault": "hang"}) as server:
        judge = judge_of(server, "canaries=0")
        pending = judge.submit([RIGHT])
        judge.close()
        with pytest.raises(JudgeError, match="closed"):
            pending.result()


def test_without_the_package_there_is_an_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingExtra, match=r"visionthink-gym\[served\]"):
        make_judge("openai:m@http://127.0.0.1:1/v1")
