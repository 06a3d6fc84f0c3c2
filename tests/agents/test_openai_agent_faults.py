"""A server that fails stops the evaluation with one clear error, which holds no secret."""

from __future__ import annotations

import json
import logging
import pickle
import socket
import time
from pathlib import Path

import pytest
from chat_server import ChatServer
from leaks import KEY, LEAKING, assert_refused_in_silence

pytest.importorskip("httpx2")

from evaluating import evaluate

from agents import closing, make_agent
from agents.base import answer_turn
from agents.rollout import AgentError
from experiments.cli import main
from vt_env.errors import ConfigError, MissingExtra
from vt_env.task import make_task

QUICK = "tries=3,longest_wait=0.2"


def nobody() -> str:
    """A URL at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def run(url: str, options: str = QUICK, n: int = 4) -> list:
    with closing(make_agent(f"openai:m@{url},{options}")) as agent:
        return list(evaluate(make_task(f"generated:n={n}"), agent, batch=n))


def error(message: str, **more: str) -> str:
    return json.dumps({"error": {"message": message, **more}})


FAULTS = {
    "hangs": ({"fault": "hang"}, "timed out"),
    "trickles": ({"fault": "trickle", "text": "x" * 400}, "timed out"),
    "closes mid-reply": ({"fault": "cut", "text": "x" * 400}, "cannot reach the server"),
    "500": ({"status": 500, "body": error("out of memory")}, "HTTP 500: out of memory"),
    "garbage": ({"body": "<html>Welcome!</html>"}, "not JSON"),
    "no completion": ({"body": '{"choices": []}'}, "no chat completion"),
    "no text": ({"body": '{"choices": [{"finish_reason": "stop"}]}'}, "no text"),
    "empty": ({"text": ""}, "reply is empty"),
    "aborted": ({"body": '{"choices": [{"finish_reason": "abort"}]}'}, "reason 'abort'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_retried_and_then_stop_the_evaluation(fault):
    reply, reason = FAULTS[fault]
    with ChatServer(lambda *_: reply) as server:
        begun = time.monotonic()
        with pytest.raises(AgentError) as stop:  # what does not hang may be slow on a busy machine
            run(server.url, f"{QUICK},timeout={0.5 if reason == 'timed out' else 20}")
        assert time.monotonic() - begun < 15
    assert reason in str(stop.value)
    assert f"the server at {server.url} gave no turn of 'm' in 3 attempt(s)" in str(stop.value)
    assert 3 <= len(server.requests) <= 12


def test_a_fault_that_passes_is_not_noticed():
    def behave(_, number):
        faults = [reply for reply, _ in FAULTS.values()]
        good = {"text": answer_turn("red", "I see.")}
        return faults[number // 2] if number % 2 == 0 and number // 2 < len(faults) else good

    with ChatServer(behave) as server:
        episodes = run(server.url, f"{QUICK},timeout=0.5,concurrency=1", n=12)
    assert [e.answer for e in episodes] == ["red"] * 12


def test_nobody_listens():
    url = nobody()
    with pytest.raises(AgentError, match=rf"the server at {url} .* cannot reach the server"):
        run(url)


def test_retry_after_is_waited_for_by_all_and_not_too_long():
    def behave(_, number):
        if number == 0:
            return {"status": 429, "headers": {"Retry-After": "1"}, "body": error("slow down")}
        return {"text": answer_turn("red", "I see.")}

    with ChatServer(behave) as server:
        run(server.url, "concurrency=1,longest_wait=5")
    assert server.times[1] - server.times[0] > 0.95

    day = {"status": 429, "headers": {"Retry-After": "86400"}, "body": error("come back tomorrow")}
    with ChatServer(lambda *_: day) as server, pytest.raises(AgentError, match="tomorrow"):
        run(server.url, "longest_wait=5", n=1)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_no_attempt_can_mend_is_tried_once(status):
    wrong = {"status": status, "body": error("no such model")}
    with ChatServer(lambda *_: wrong) as server, pytest.raises(AgentError, match="no such model"):
        run(server.url, QUICK, n=1)
    assert len(server.requests) == 1


def test_a_prompt_that_is_too_long_says_so_and_changes_nothing():
    long = (
        "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context "
        "length is 600 tokens and your request has 700 input tokens."
    )
    reply = {"status": 400, "body": error(long)}
    with ChatServer(lambda *_: reply) as server, pytest.raises(AgentError, match="context length"):
        run(server.url, QUICK, n=1)
    assert len(server.requests) == 1


def test_the_command_line_stops_with_one_line_and_leaves_no_result(tmp_path: Path, capfd):
    out = tmp_path / "out"
    spec = f"openai:m@{nobody()},{QUICK}"
    assert main(["eval", "--agent", spec, "--data", "generated:n=4", "--out", str(out)]) == 2
    said = capfd.readouterr().err.strip().splitlines()
    assert "cannot reach the server" in said[-1]
    assert not [line for line in said if "Traceback" in line]
    assert not list(out.rglob("result.json"))
    assert not list(out.rglob("episodes.jsonl"))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_AGENT_KEY"])
def test_the_key_is_sent_and_left_nowhere(name, tmp_path: Path, monkeypatch, caplog, capfd):
    monkeypatch.setenv(name, KEY)
    caplog.set_level(logging.DEBUG)

    def behave(_, number):
        if number == 4 or number >= 8:
            return {"status": 401, "body": error(f"the key {KEY} is not known")}
        return {"text": answer_turn("red", "I see.")}

    option = "" if name == "OPENAI_API_KEY" else f",key_env={name}"
    with ChatServer(behave) as server:
        spec = f"openai:m@{server.url},concurrency=1,{QUICK}{option}"
        arguments = ["eval", "--agent", spec, "--data", "generated:n=4", "--out"]
        assert main([*arguments, str(tmp_path / "good")]) == 0
        assert main([*arguments, str(tmp_path / "some")]) == 0
        assert main([*arguments, str(tmp_path / "bad")]) == 2
        with closing(make_agent(spec)) as agent:
            texts = [repr(agent), repr(agent.client), repr(vars(agent)), agent.name]
            assert KEY.encode() not in pickle.dumps(agent.client)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    out = capfd.readouterr()
    assert "***" in out.err
    assert KEY not in "".join([*texts, caplog.text, out.out, out.err])
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and KEY.encode() in f.read_bytes()]


@pytest.mark.parametrize("spec", ["openai:gpt-x", "openai:m@http://127.0.0.1:1/v1,key_env=NOWHERE"])
def test_a_key_that_is_needed_and_not_there(spec, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"no key for the agent .*OPENAI_API_KEY"):
        make_agent(spec)


@pytest.mark.parametrize("spec", LEAKING)
def test_a_key_in_a_spec_is_refused_and_not_repeated(spec):
    assert_refused_in_silence(make_agent, spec)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("temprature=1", "Did you mean 'temperature'"),
        ("concurrency=many", "a whole number as concurrency"),
        ("temperature=warm", "a number as temperature"),
        ("stop=perhaps", "true or false as stop"),
        ("max_new_tokens=0", "max_new_tokens at least 1"),
        ("tries=0", "tries must be from 1"),
        ("temperature=3", "temperature must be in"),
    ],
)
def test_options_are_checked(options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        make_agent(f"openai:m@http://127.0.0.1:1/v1,{options}")


@pytest.mark.parametrize(("name", "package"), [("openai", "httpx2"), ("vllm", "vllm")])
def test_a_package_that_is_missing_has_an_install_line(name, package, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(MissingExtra, match=r"pip install"):
        make_agent(f"{name}:m@http://127.0.0.1:1/v1")
