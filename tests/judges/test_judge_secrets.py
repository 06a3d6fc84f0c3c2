"""A key comes from the environment, and is found nowhere afterwards."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import pytest
from chat_server import ChatServer
from leaks import KEY, LEAKING, assert_refused_in_silence

from trainers.wandb_view import redact
from vt_env.errors import ConfigError, JudgeError
from vt_env.judges import Query, make_judge

pytest.importorskip("httpx2")

QUERIES = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(6)]


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_JUDGE_KEY"])
def test_the_key_is_sent_and_left_nowhere(name, tmp_path: Path, monkeypatch, caplog, capfd):
    monkeypatch.setenv(name, KEY)
    caplog.set_level(logging.DEBUG)

    def behave(_, number):
        said = json.dumps({"error": {"message": f"the key {KEY} is over its quota"}})
        faults = {1: 401, 2: 429, 3: 400}
        if number in faults:
            return {"status": faults[number], "body": said}
        return {"text": "right" if number else KEY}

    option = "" if name == "OPENAI_API_KEY" else f",key_env={name}"
    cache = tmp_path / "cache.sqlite"
    with ChatServer(behave) as server:
        spec = f"openai:m@{server.url},cache={cache},concurrency=1,tries=1,failures_over=3{option}"
        judge = make_judge(spec)
        with pytest.raises(JudgeError) as stop:
            judge.score(QUERIES)
        verdicts = judge.score(QUERIES)
        texts = [repr(judge), repr(judge.backend), str(judge.backend.address), judge.name]
        texts += [judge.identity, str(judge.usage.numbers()), str(judge.usage.reasons)]
        texts += [str(stop.value), *map(repr, verdicts), str(redact({"judge": spec}))]
        judge.close()
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert {v.correct for v in verdicts} == {True}
    assert "***" in str(stop.value)
    out = capfd.readouterr()
    assert KEY not in "".join([*texts, caplog.text, out.out, out.err])
    for file in tmp_path.iterdir():
        assert KEY.encode() not in file.read_bytes()
        assert b"some thing" not in file.read_bytes()


def test_without_a_key_a_local_server_is_asked_all_the_same(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with (
        ChatServer(lambda *_: {"text": "wrong"}) as server,
        make_judge(f"openai:m@{server.url},canaries=0") as judge,
    ):
        assert judge.score(QUERIES[:1])[0].correct is False


@pytest.mark.parametrize("spec", ["openai:gpt-x", "openai:m@http://127.0.0.1:1/v1,key_env=NOWHERE"])
def test_a_key_that_is_needed_and_not_there(spec, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        make_judge(spec)


@pytest.mark.parametrize(
    "spec",
    [
        *LEAKING,
        f"cascade:openai:m@http://user:{KEY}@127.0.0.1:1/v1",
        f"panel:auto+openai:m@http://127.0.0.1:1/v1?key={KEY}",
    ],
)
def test_a_key_in_a_spec_is_refused_and_not_repeated(spec):
    assert_refused_in_silence(make_judge, spec)


def test_a_pickled_judge_holds_no_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with make_judge("openai:m@http://127.0.0.1:1/v1,tries=2") as judge:
        sent = pickle.dumps([judge, judge.backend, judge.backend.client])
    assert KEY.encode() not in sent
    assert pickle.loads(sent)[0].backend.limits.tries == 2
