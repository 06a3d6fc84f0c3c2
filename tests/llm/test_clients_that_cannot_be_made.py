"""Proxies and certificates that cannot be used: one sentence, in time, never on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chat_server import ChatServer, says

pytest.importorskip("httpx2")

from agents import make_agent
from vt_env.errors import ConfigError
from vt_env.judges import Query, make_judge

ASKED = Query("What is it?", ("the thing",), "some thing")
FAR = "http://192.0.2.1:9/v1"  # an address that is nobody's
PASSWORD = "pass-word-of-a-proxy"

BROKEN = {
    "SOCKS": ("ALL_PROXY", f"socks5://u:{PASSWORD}@127.0.0.1:1", "socksio"),
    "another scheme": ("HTTP_PROXY", f"foo://u:{PASSWORD}@127.0.0.1:1", "URL that cannot be used"),
    "no URL": ("HTTP_PROXY", f"http://u:{PASSWORD}@[::1", "URL that cannot be used"),
    "no file": ("SSL_CERT_FILE", "/nowhere/certificates.pem", "No such file"),
    "no certificate": ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("make", [make_judge, make_agent])
def test_it_is_one_sentence(kind: str, make, monkeypatch):
    name, value, words = BROKEN[kind]
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=r"no connection to the .*'s server can be made") as error:
        make(f"openai:m@{FAR}")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert PASSWORD not in str(error.value)


@pytest.mark.parametrize("kind", BROKEN)
def test_a_server_on_this_machine_is_asked_all_the_same(kind: str, monkeypatch):
    name, value, _ = BROKEN[kind]
    monkeypatch.setenv(name, value)
    with (
        ChatServer(says("right")) as server,
        make_judge(f"openai:m@{server.url},canaries=0") as judge,
    ):
        assert judge.score([ASKED])[0].correct is True


def test_what_breaks_later_is_unscored_in_time(monkeypatch, caplog):
    with make_judge(f"openai:m@{FAR},timeout=1,deadline=2,tries=2,canaries=0") as judge:
        monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
        start = time.monotonic()
        (verdict,) = judge.score([ASKED])
        assert time.monotonic() - start < 2
    assert verdict.correct is None
    assert "socksio" in verdict.reason
    assert "Traceback" not in caplog.text


def test_a_proxy_at_which_nobody_listens(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with make_judge(f"openai:m@{FAR},timeout=2,deadline=4,tries=2,canaries=0") as judge:
        assert "cannot reach the server" in judge.score([ASKED])[0].reason


@pytest.mark.parametrize("key", ["a key", "line\nend", "ключ-ключ"])
def test_a_key_that_no_request_can_carry(key: str, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds no key") as error:
        make_judge("openai:m@http://127.0.0.1:1/v1")
    assert key not in str(error.value)


def test_the_command_line_says_it_in_one_line(tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    row = {"question": "What is it?", "references": ["the thing"], "prediction": "some thing"}
    rows.write_text(json.dumps(row) + "\n")
    command = [sys.executable, "-m", "experiments.cli", "judge", str(rows)]
    command += ["--judge", f"openai:m@{FAR}", "--out", str(tmp_path / "out.jsonl")]
    done = subprocess.run(
        command,
        env={
            "ALL_PROXY": "socks5://127.0.0.1:1",
            "PATH": "/usr/bin",
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "socksio" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
