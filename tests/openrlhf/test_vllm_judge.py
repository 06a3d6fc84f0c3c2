"""The judge ``vllm`` on vLLM itself, with a tiny random model: its choice is always one of two."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vllm")

import psutil
from letters import letters_model, letters_tokenizer

from agents.judging.vllm_judge import vllm_judge
from vt_env.judges import Query

pytestmark = pytest.mark.openrlhf

QUERIES = [Query("What is it?", ("the thing",), f"some thing {i}") for i in range(8)]


def checkpoint(folder: Path) -> Path:
    letters_tokenizer().save_pretrained(folder)
    letters_model().save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore:Exception ignored.*Context")  # vLLM leaves one of zmq's
def test_a_random_model_is_held_to_the_two_words(tmp_path: Path):
    folder = checkpoint(tmp_path / "model")
    before = set(psutil.Process().children())
    options = f"dtype=float32,eager=true,scores=true,canaries=0,cache={tmp_path / 'cache.sqlite'}"
    with vllm_judge(f"{folder},{options}") as judge:
        verdicts = judge.score(QUERIES)
        assert None not in [verdict.correct for verdict in verdicts]
        assert all(verdict.score is not None for verdict in verdicts)
        assert judge.usage.answered == len(QUERIES)
        assert judge.usage.tokens_in > 1000
        assert judge.score(QUERIES) == verdicts
        begun = set(psutil.Process().children()) - before
        engine = [process for process in begun if "resource_tracker" not in str(process.cmdline())]
        assert engine
    psutil.wait_procs(engine, timeout=30)
    assert not [process for process in engine if process.is_running()]
