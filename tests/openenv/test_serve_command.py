"""``vt serve`` as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("openenv.core", reason="a library of its own environment: make test-openenv")

from remote_sessions import TOKEN, run

from agents import answer_turn
from experiments.cli import main
from trainers.openenv.client import RemoteError


def test_it_serves_until_it_is_stopped(tmp_path: Path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    command = [sys.executable, "-m", "experiments.cli", "serve", "--data", "generated:n=5"]
    token = ["--token-file", str(tmp_path / "token")]
    options = ["--port", "0", *token, "--reward", "format_weight=2"]
    server = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        url = re.match(r"serving at (http://127\.0\.0\.1:\d+): 5 samples", line)[1]
        assert "its token" in line
        assert TOKEN not in line

        async def play(client):
            result = await client.reset(index=4)
            assert (await client.state()).samples == 5
            assert result.observation.views()[0].size == (16, 16)
            return (await client.step(answer_turn("no such thing", "x"))).reward

        assert run(url, play, token=TOKEN) == 2.0
        with pytest.raises(RemoteError, match="wants its token"):
            run(url, play)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=30)
        assert "Traceback" not in errors
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--host", "0.0.0.0"], "give a token"),
        (["--token-file", "nowhere"], "cannot read the token from nowhere"),
        (["--reward", "token_price"], "wants KEY=VALUE"),
        (["--reward", "token_price=dear"], "must be a number"),
        (["--reward", "token_prize=1"], "Did you mean 'token_price'?"),
        (["--reward", "penalty=paper"], "a session is one rollout"),
        (["--data", "jsonl:nowhere.jsonl"], "nowhere.jsonl"),
        (["--idle", "0"], "idle_s must be"),
    ],
    ids=str,
)
def test_what_is_refused(options, says, capsys, monkeypatch):
    monkeypatch.delenv("VT_SERVE_TOKEN", raising=False)
    assert main(["serve", "--port", "0", *options]) == 2
    assert says in capsys.readouterr().err


def test_the_token_may_come_from_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("VT_SERVE_TOKEN", "short")
    assert main(["serve", "--port", "0"]) == 2
    assert "at least 16 characters" in capsys.readouterr().err
