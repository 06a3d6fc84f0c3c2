"""Clients without a token that only hold connections, and a judge that hangs; within bounds."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from remote_sessions import TOKEN, made_samples, raw, run, until

from agents import answer_turn
from trainers.openenv import server
from trainers.openenv.server import Serving, Sparing, Waiting, served
from trainers.openenv.threads import Busy, Threads, TimedJudge
from vt_env import Query, Verdict, make_task

RIGHT = answer_turn("one", "x")
KEY = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def serving(tmp_path: Path, limit: str = ""):
    """``vt serve`` as a process, with its standard error in a file."""
    command = f'{limit} exec "{sys.executable}" -m experiments.cli serve --data generated:n=5'
    environment = {**os.environ, "VT_SERVE_TOKEN": TOKEN}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(
            ["bash", "-c", f"{command} --port 0"],
            stdout=subprocess.PIPE, stderr=errors, text=True, env=environment,
        )  # fmt: skip
    try:
        line = process.stdout.readline()
        found = re.match(r"serving at http://127\.0\.0\.1:(\d+)", line)
        yield process, int(found[1]) if found else 0
    finally:
        process.kill()
        process.communicate()


BEGUN = {
    "nothing": b"",
    "half a request": b"GET /health HTTP/1.1\r\nHost: x\r\nX: ",
    "half an upgrade": b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n",
    "a request after another": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /health HT",
    "no HTTP": b"\x16\x03\x01",
}


def hold(port: int, n: int, sent: bytes) -> list[socket.socket]:
    """Connections of which none is a whole request; cut ones stay in the list."""
    held = []
    for _ in range(n):
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        held.append(plain)
        with suppress(OSError):
            plain.sendall(sent)
    return held


def test_half_open_connections_shut_nobody_out(tmp_path):
    """With few files allowed, and many more connections than that; the owner plays on."""
    with serving(tmp_path, "ulimit -n 256;") as (process, port):
        url, held = f"http://127.0.0.1:{port}", []

        async def play(client):
            await client.reset(index=1)
            return (await client.step(RIGHT)).done

        try:
            for sent in BEGUN.values():
                held += hold(port, 150, sent)
                assert len([*Path(f"/proc/{process.pid}/fd").iterdir()]) < 256
                assert run(url, play, token=TOKEN)
        finally:
            for plain in held:
                plain.close()
        assert process.poll() is None
    assert (tmp_path / "errors").stat().st_size < 20_000
    assert "Traceback" not in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("sent", BEGUN.values(), ids=BEGUN)
def test_half_open_connections_have_an_end(monkeypatch, sent):
    monkeypatch.setattr(server, "Waiting", lambda most: Waiting(most, 0.5))
    with served(made(), Serving(port=0, token=TOKEN)) as url:
        for plain in hold(int(url.rpartition(":")[2]), 3, sent):
            plain.settimeout(10)
            assert _is_ended(plain)
            plain.close()


def _is_ended(plain):
    """Wait for the other side to end a connection; a time-out is an error."""
    with suppress(ConnectionResetError):
        while plain.recv(4096):
            pass
    return True


def test_a_session_outlives_the_deadline_of_connections(monkeypatch):
    monkeypatch.setattr(server, "Waiting", lambda most: Waiting(2, 0.5))
    playing = served(made(), Serving(port=0, token=TOKEN))
    with playing as url, raw(url, additional_headers=KEY) as session:
        session.say("reset", index=1)
        held = hold(int(url.rpartition(":")[2]), 5, b"")
        time.sleep(1.2)
        assert session.say("step", text=RIGHT)["data"]["done"] is True
        for plain in held:
            plain.close()


def test_too_few_files_are_said_at_the_start(tmp_path):
    with serving(tmp_path, "ulimit -n 128;") as (process, _):
        assert process.wait(200) == 2
    told = (tmp_path / "errors").read_text()
    assert "may need 256 open files, and the system allows 128" in told
    assert len(told.splitlines()) == 1


def test_websockets_beyond_all_sessions_are_refused(monkeypatch):
    monkeypatch.setattr(server, "SPARE", 0)
    with served(made(), Serving(port=0, sessions=1)) as url, raw(url) as first:
        first.say("reset")
        with pytest.raises(Exception, match="503"), raw(url):
            pass


class Hangs:
    """A judge that hangs on one answer, until it is let go."""

    name = "hangs"

    def __init__(self) -> None:
        self.free = threading.Event()
        self.hanging = 0

    def score(self, queries):
        for query in queries:
            if query.answer == "hang":
                self.hanging += 1
                self.free.wait()
        return [Verdict(query.answer in query.references, self.name, "") for query in queries]


def made(judge=None):
    return make_task(made_samples(4), judge=judge or Hangs())


def test_a_judge_that_hangs_holds_nobody_else_up():
    """More hung answers than there are sessions; each is unscored, and others are judged."""
    judge = Hangs()
    with served(made(judge), Serving(port=0, sessions=2, step_s=0.4)) as url:
        for _ in range(5):
            with raw(url) as stuck, raw(url) as other:
                stuck.say("reset", index=1)
                other.say("reset", index=1)
                unscored = stuck.say("step", text=answer_turn("hang", "x"))["data"]
                assert (unscored["done"], unscored["reward"]) == (True, None)
                assert other.say("step", text=RIGHT)["data"]["reward"] == 1.5
                assert stuck.say("reset", index=2)["type"] == "observation"
        assert judge.hanging == 5
        judge.free.set()


def test_while_all_judgements_hang_nothing_is_scored_and_then_all_is():
    judge = Hangs()
    timed = TimedJudge(judge, 0.8, most=3)
    query = [Query("?", ("one",), "hang")]
    for _ in range(3):
        assert timed.score(query) == [Verdict(None, "hangs", "no verdict in 0.8 s")]
    begun = time.monotonic()
    (verdict,) = timed.score([Query("?", ("one",), "one")])
    assert time.monotonic() - begun < 0.7
    assert (verdict.correct, "the judge is stuck" in verdict.reason) == (None, True)
    judge.free.set()
    until(lambda: timed.score([Query("?", ("one",), "one")])[0].correct is True)


def test_what_a_judge_raises_is_raised():
    class Breaks(Hangs):
        def score(self, queries):
            raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        TimedJudge(Breaks(), 5, 1).score([])


def test_threads_are_bounded_and_free_again():
    threads, go = Threads(2, "test"), threading.Event()
    first, second = (threads.submit(go.wait) for _ in range(2))
    with pytest.raises(Busy, match="2 pieces of work"):
        threads.submit(go.wait)
    go.set()
    assert first.result(5)
    assert second.result(5)
    until(lambda: threads._room._value == 2)
    assert threads.submit(lambda: 7).result(5) == 7


def test_equal_messages_are_spared(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(server.time, "monotonic", lambda: now[0])
    spare = Sparing(most=2)

    def told(text):
        record = logging.LogRecord("x", logging.WARNING, "", 0, text, (), None)
        return record.getMessage() if spare.filter(record) else None

    assert [told("again") for _ in range(5)] == ["again", "again", None, None, None]
    assert told("other") == "other"
    now[0] = 61
    assert told("again") == "again (and 3 more like it)"
    assert told("again") == "again"
    for i in range(5000):
        told(f"text {i}")
    assert len(spare._seen) <= 1001
