"""vLLM as an agent, in process and behind its own server, says what transformers makes it say."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.openrlhf
pytest.importorskip("vllm", reason="needs `make test-openrlhf`")

import psutil  # noqa: E402
import torch  # noqa: E402

from agents import Conversation, closing, make_agent, rollout  # noqa: E402
from agents.served.request import chat_messages  # noqa: E402
from agents.tiny.tokenizer import call_turn  # noqa: E402
from agents.tiny.warmup import WarmupConfig, warm_up  # noqa: E402
from agents.transformers import TransformersAgent  # noqa: E402
from agents.vllm_agent import VllmAgent  # noqa: E402
from experiments.cli import main  # noqa: E402
from vt_env import Sample  # noqa: E402
from vt_env.dialogue import Dialogue  # noqa: E402
from vt_env.pictures import Picture  # noqa: E402
from vt_env.protocol import make_protocol  # noqa: E402
from vt_env.vector import VisionThinkVectorEnv  # noqa: E402

N = 40
TIE = 1e-3
"""Nats between two tokens that rounding may exchange; both compute in float32."""
DATA = ["--data", f"generated:n={N},split=test,kinds=laptop", "--prompt", "tiny"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that has half learnt the format, and asks for the original more often than not."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny")
    warm_up(
        WarmupConfig(reading=0, vision_steps=60, steps=160, batch=8, request_share=0.7),
        folder,
        seed=1,
    )
    return folder


@pytest.fixture(scope="module")
def url(tiny: Path) -> Iterator[str]:
    """vLLM's own server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--max-model-len", "512"]
    command += ["--limit-mm-per-prompt", '{"image": 2}']
    log = tiny.parent / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream, start_new_session=True)
    try:
        await_health(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        end_with_children(server)


def await_health(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(address, timeout=2)
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


def end_with_children(server: subprocess.Popen[bytes]) -> None:
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    server.send_signal(signal.SIGINT)
    _, left = psutil.wait_procs(family, timeout=20)
    for process in left:
        process.kill()
    server.wait(timeout=20)


@pytest.fixture(scope="module")
def evaluated(tiny: Path, url: str, tmp_path_factory) -> Iterator[SimpleNamespace]:
    """``vt eval`` with the three agents, what the models here said, and the engine, still alive."""
    out = tmp_path_factory.mktemp("eval") / "out"
    specs = {
        "transformers": f"transformers:{tiny},max_new_tokens=16",
        "vllm": f"vllm:{tiny},max_new_tokens=16,eager=true,max_model_len=1024",
        "openai": f"openai:tiny@{url},max_new_tokens=16",
    }
    replies: dict[str, list] = {"TransformersAgent": [], "VllmAgent": []}
    closed: list[VllmAgent] = []
    close = VllmAgent.close
    with pytest.MonkeyPatch.context() as patch:
        for kind in (TransformersAgent, VllmAgent):
            act, kept = kind.act, replies[kind.__name__]

            def noting(self, conversations, act=act, kept=kept):
                kept.extend(said := act(self, conversations))
                return said

            patch.setattr(kind, "act", noting)
        patch.setattr(VllmAgent, "close", lambda self: closed.append(self))
        named = [word for spec in specs.values() for word in ("--agent", spec)]
        assert main(["eval", *named, *DATA, "--out", str(out)]) == 0
    results = json.loads((out / "comparison.json").read_text())["agents"]
    rows = {name: read(next(out.glob(f"{name}_*"))) for name in specs}
    (engine,) = closed
    try:
        yield SimpleNamespace(
            rows=rows, replies=replies, engine=engine, results=[results[s] for s in specs.values()]
        )
    finally:
        close(engine)


def read(folder: Path) -> list[dict]:
    lines = (folder / "episodes.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda row: row["id"])


def texts(row: dict) -> list[str]:
    return [turn["text"] for turn in row["turns"]]


def is_tie(agent: TransformersAgent, row: dict, other: dict) -> bool:
    """Whether the first token in which two transcripts differ was as likely as the other one."""
    from vt_env import open_source

    sample = open_source(DATA[1]).by_id(row["id"])
    protocol = make_protocol(prompt="tiny", tokens="tiny")
    dialogue = Dialogue(protocol, sample, Picture(sample.image))
    for ours, theirs in zip(texts(row), texts(other), strict=False):
        if ours != theirs:
            at = Conversation.of(dialogue, np.random.default_rng(0))
            said = [agent.act([at], [text])[0] for text in (ours, theirs)]
            pairs = zip(*[zip(s.token_ids, s.log_probs, strict=True) for s in said], strict=False)
            first = next((p for p in pairs if p[0][0] != p[1][0]), ((0, 0.0), (1, 9.0)))
            return abs(first[0][1] - first[1][1]) < TIE
        dialogue.apply(ours)
    return False


@pytest.mark.parametrize("name", ["vllm", "openai"])
def test_vt_eval_gives_the_answers_of_the_transformers_agent(evaluated, tiny, name):
    reference, other = evaluated.rows["transformers"], evaluated.rows[name]
    assert len(reference) == len(other) == N
    agent = TransformersAgent(tiny, max_new_tokens=40)
    differ = [p for p in zip(reference, other, strict=True) if texts(p[0]) != texts(p[1])]
    assert all(is_tie(agent, *pair) for pair in differ)
    assert len(differ) <= N // 10
    assert sum(len(row["turns"]) for row in reference) > N  # there were second turns
    if not differ:
        accuracies = {result["accuracy"] for result in evaluated.results}
        assert len(accuracies) == 1


def test_the_engine_read_and_said_the_same_tokens_with_the_same_probabilities(evaluated):
    ours, theirs = evaluated.replies["TransformersAgent"], evaluated.replies["VllmAgent"]
    same = [(a, b) for a, b in zip(ours, theirs, strict=False) if a.prompt_ids == b.prompt_ids]
    assert len(same) >= len(ours) * 0.9
    for a, b in same:
        if a.token_ids == b.token_ids:
            np.testing.assert_allclose(a.log_probs, b.log_probs, atol=1e-4)
            assert (a.text, a.truncated) == (b.text, b.truncated)


def test_the_server_reads_the_tokens_that_the_transformers_agent_reads(evaluated, tiny, url):
    protocol = make_protocol(prompt="tiny", tokens="tiny")
    ours = TransformersAgent(tiny, max_new_tokens=16)
    with closing(make_agent(f"openai:tiny@{url},max_new_tokens=16")) as agent:
        for number in range(4):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), np.uint8)
            sample = Sample("s", "What colour is the shape?", ("red",), pixels)
            dialogue = Dialogue(protocol, sample, Picture(sample.image))
            ids: list[int] = []
            while not dialogue.done:
                at = Conversation.of(dialogue, np.random.default_rng(0))
                forced = call_turn() + "<|im_end|>" if dialogue.turn == 0 else None
                reply = ours.act([at], [forced])[0]
                ids += reply.prompt_ids
                body = agent.request.body(chat_messages(at, agent._uris), 0, at.ends)
                assert tokens_read(url, body) == ids
                ids += reply.token_ids
                dialogue.apply(reply.text)
            assert len(dialogue.views) == 2


def tokens_read(url: str, body: dict) -> list[int]:
    request = urllib.request.Request(
        f"{url}/chat/completions",
        json.dumps({**body, "return_token_ids": True}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)["prompt_token_ids"]


def test_a_second_turn_and_a_sibling_read_only_what_is_new(evaluated):
    """Pictures of 192 x 192 pixels: 144 tokens at half size, more than a block of the cache."""
    agent, cached = evaluated.engine, []
    generate = agent._engine.generate
    rng = np.random.default_rng(0)
    samples = [
        Sample(f"s{i}", "What?", ("red",), rng.integers(0, 256, (192, 192, 3), np.uint8))
        for i in range(2)
    ]

    def noting(*args, **kwargs):
        outputs = generate(*args, **kwargs)
        cached.append([output.num_cached_tokens for output in outputs])
        return outputs

    class Asking:
        name = "asking"

        def act(self, conversations):
            replies = agent.act(conversations)
            if conversations[0].turn:
                return replies
            for conversation, reply in zip(conversations, replies, strict=True):
                transcript = agent._transcripts._kept[conversation.rollout]
                del transcript.turns[:], transcript.ids[len(reply.prompt_ids) :]
                ids = agent.processor.tokenizer.encode(call_turn(), add_special_tokens=False)
                transcript.add_turn(call_turn(), ids)
            return [type(reply)(call_turn()) for reply in replies]

    agent._engine.generate = noting
    env = VisionThinkVectorEnv(4, group_size=2, data=samples, prompt="tiny", tokens="tiny")
    rollout(env, Asking(), sample_ids=["s0", "s1"])
    _, second = cached
    assert min(second) >= 128  # of the first turn's prompt


def test_closing_the_agent_ends_its_processes(evaluated):
    engine = evaluated.engine._engine
    ours = [p for p in psutil.Process().children(recursive=True) if is_engine(p)]
    assert ours
    engine.llm_engine.engine_core.shutdown()
    _, left = psutil.wait_procs(ours, timeout=20)
    assert not left


def is_engine(process: psutil.Process) -> bool:
    try:
        return "VLLM" in process.name() and os.getpgid(process.pid) == os.getpgrp()
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False


def test_a_prompt_that_is_too_long_for_the_server_says_so(url):
    from evaluating import evaluate

    from agents.rollout import AgentError
    from vt_env.task import make_task

    pixels = np.zeros((224, 224, 3), np.uint8)
    task = make_task(
        [Sample("s", "What?", ("red",), pixels)],
        protocol="general",
        prompt="tiny",
        tokens="tiny",
    )
    with (
        closing(make_agent(f"openai:tiny@{url},max_new_tokens=16")) as agent,
        pytest.raises(AgentError, match=r"in 1 attempt.*HTTP 400.*(length|tokens)"),
    ):
        list(evaluate(task, agent))
