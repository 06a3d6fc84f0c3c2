"""A hostile server: what it sends is bounded, and nothing leaves for where it points."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib

import pytest
from chat_server import ChatServer, completion, says
from leaks import KEY

pytest.importorskip("httpx2")

from evaluating import evaluate

from agents import closing, make_agent
from agents.base import answer_turn
from agents.llm import Address
from vt_env.judges import Query, make_judge
from vt_env.task import make_task

ASKED = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(4)]
QUICK = "timeout=5,deadline=10,tries=2,backoff=0.01,canaries=0"
BOMB = gzip.compress(bytes(2**30 // 4), 9)
TWICE = gzip.compress(gzip.compress(bytes(2**28), 9), 9)

LARGE = {
    "gzip": {"body": BOMB, "headers": {"Content-Encoding": "gzip"}},
    "gzip of an error": {"status": 500, "body": BOMB, "headers": {"Content-Encoding": "gzip"}},
    "gzip twice": {"body": TWICE, "headers": {"Content-Encoding": "gzip, gzip"}},
    "deflate": {
        "body": zlib.compress(bytes(2**28), 9),
        "headers": {"Content-Encoding": "deflate"},
    },
    "an endless reply": {"fault": "flood"},
    "an endless error": {"status": 400, "fault": "flood"},
    "no gzip at all": {"body": b"right", "headers": {"Content-Encoding": "gzip"}},
    "another packing": {"body": b"right", "headers": {"Content-Encoding": "br"}},
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_reply_is_read_up_to_a_limit(kind: str):
    with (
        ChatServer(lambda *_: LARGE[kind]) as server,
        make_judge(f"openai:m@{server.url},{QUICK}") as judge,
    ):
        judge.score(ASKED[1:2])  # what is imported at first use is not the reply's
        tracemalloc.start()
        try:
            (verdict,) = judge.score(ASKED[:1])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert verdict.correct is None
        assert verdict.reason
        assert peak < 8 * 2**20
        assert server.flooded < 32 * 2**20


def test_a_packed_reply_within_the_limit_is_read():
    packed = gzip.compress(completion("right").encode())
    reply = {"body": packed, "headers": {"Content-Encoding": "gzip"}}
    with (
        ChatServer(lambda *_: reply) as server,
        make_judge(f"openai:m@{server.url},{QUICK}") as judge,
    ):
        assert judge.score(ASKED[:1])[0].correct is True


def test_the_limit_is_an_option():
    long = completion("<think>" + "hm " * 2000 + "</think>right")
    with ChatServer(lambda *_: {"body": long}) as server:
        with make_judge(f"openai:m@{server.url},{QUICK},reply_bytes=4096") as judge:
            assert "longer than 4,096 bytes (reply_bytes)" in judge.score(ASKED[:1])[0].reason
        with make_judge(f"openai:m@{server.url},{QUICK},reply_bytes=8192") as judge:
            assert judge.score(ASKED[:1])[0].correct is True


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(says("right")) as other:
        elsewhere = {"status": status, "body": "", "headers": {"Location": f"{other.url}/x"}}
        with (
            ChatServer(lambda *_: elsewhere) as server,
            make_judge(f"openai:m@{server.url},{QUICK}") as judge,
        ):
            (verdict,) = judge.score(ASKED[:1])
            assert verdict.correct is None
            assert "another address, which is not followed" in verdict.reason
            assert len(server.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize(
    "wait",
    ["Mon, 01 Jan 99999999999999 00:00:00 GMT", "Mon, 01 Jan 2024 99999999999:00:00 GMT", "nan"],
)
def test_an_absurd_retry_after_is_no_wait(wait: str, caplog):
    overrun = {"status": 429, "headers": {"Retry-After": wait}, "body": "{}"}
    with (
        ChatServer(lambda _, number: {"text": "right"} if number else overrun) as server,
        make_judge(f"openai:m@{server.url},{QUICK}") as judge,
    ):
        assert judge.score(ASKED[:1])[0].correct is True
        assert len(server.requests) == 2
    assert "Traceback" not in caplog.text


LONG_KEY = "sk-proj-" + "".join(f"{i:04d}SECRETkey" for i in range(12))


def pieces(text: str, size: int = 8) -> list[str]:
    """Pieces of the key that stand in a text."""
    windows = {LONG_KEY[i : i + size] for i in range(len(LONG_KEY) - size + 1)}
    return [window for window in windows if window in text]


@pytest.mark.parametrize(
    "echo", [LONG_KEY, LONG_KEY[20:60], LONG_KEY[:9], f"no {LONG_KEY[-8:]}!", f"x{LONG_KEY[5:]}y"]
)
def test_no_part_of_a_key_is_left(echo: str, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", LONG_KEY)
    shouted = json.dumps({"error": {"message": f"{'padding ' * 22}{echo}", "param": echo}})

    def behave(_, number):
        return {"text": echo} if number % 2 else {"status": 403, "body": shouted}

    with (
        ChatServer(behave) as server,
        make_judge(
            f"openai:m@{server.url},{QUICK},tries=1,concurrency=1".replace("tries=2,", "")
        ) as judge,
    ):
        verdicts = judge.score(ASKED)
        texts = [*map(repr, verdicts), str(judge.usage.reasons), caplog.text]
    assert {v.correct for v in verdicts} == {None}
    assert pieces("".join(texts)) == []
    assert "***" in "".join(texts)


def test_an_agents_turn_holds_no_key_either(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", LONG_KEY)
    turn = answer_turn(f"red {LONG_KEY[10:50]}", f"The key is {LONG_KEY}.")
    with (
        ChatServer(lambda *_: {"text": turn}) as server,
        closing(make_agent(f"openai:m@{server.url}")) as agent,
    ):
        (episode,) = evaluate(make_task("generated:n=1"), agent)
    assert pieces(episode.replies[0].text) == []
    assert episode.answer == "red ***"


def test_scrubbing_leaves_everything_else(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "abcdefgh12345678")
    address = Address("m", "http://h/v1")
    assert address.scrubbed("abcdefg bcdefgh1 and gh123456789") == "abcdefg *** and ***9"
    monkeypatch.setenv("OPENAI_API_KEY", "short")
    assert address.scrubbed("a short text") == "a short text"


def test_a_reply_of_many_tokens_is_read_in_linear_time():
    def scored(number: int) -> float:
        made = json.loads(completion("right"))
        tokens = [{"token": "so ", "logprob": -1.0, "top_logprobs": []}] * number
        made["choices"][0]["logprobs"] = {"content": tokens}
        made["choices"][0]["message"]["content"] = "<think>" + "so " * number + "</think>right"
        body = json.dumps(made)
        with (
            ChatServer(lambda *_: {"body": body}) as server,
            make_judge(f"openai:m@{server.url},{QUICK},scores=true") as judge,
        ):
            start = time.process_time()
            judge.score(ASKED[:1])
            return time.process_time() - start

    scored(100)
    assert scored(16_000) < 16 * scored(2_000) + 0.2
