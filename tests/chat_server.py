"""A real HTTP server on this machine that behaves like a language model's, or misbehaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = dict[str, Any]
"""``text``, or ``body`` (text or bytes) as it is sent; ``status``, ``headers``; ``delay`` in
seconds; ``fault``."""

Behave = Callable[[dict[str, Any], int], Reply]


def completion(text: str, **message: Any) -> str:
    """The body of a chat completion."""
    return json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": text, **message},
                }
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102},
        }
    )


class ChatServer:
    """Serves ``/v1/chat/completions`` as a function says.

    Args:
        behave: Gets a request's body and its number from 0, and says what to do.
    """

    def __init__(self, behave: Behave) -> None:
        self.behave = behave
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.at_once = self.most_at_once = self.flooded = 0
        self.lock = threading.Lock()
        self.over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                with suppress(ConnectionError):
                    outer.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def __enter__(self) -> ChatServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def asked(self, index: int = -1) -> str:
        """The user turn of a request."""
        return self.requests[index]["messages"][-1]["content"]

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """One request."""
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            number = len(self.requests)
            self.requests.append(body)
            self.headers.append({k.lower(): v for k, v in handler.headers.items()})
            self.times.append(time.monotonic())
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.behave(body, number)
            if reply.get("delay"):
                self.over.wait(reply["delay"])
            self.send(handler, reply)
        finally:
            with self.lock:
                self.at_once -= 1

    def send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        """The response, or the fault."""
        fault = reply.get("fault")
        if fault == "hang":
            self.over.wait(30)
            handler.close_connection = True
            return
        data = reply.get("body", completion(reply.get("text", "")))
        data = data if isinstance(data, bytes) else data.encode()
        handler.send_response(reply.get("status", 200))
        handler.send_header("Content-Type", "application/json")
        length = 2**40 if fault == "flood" else len(data)
        handler.send_header("Content-Length", str(length))
        for name, value in reply.get("headers", {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        if fault == "cut":
            handler.wfile.write(data[:40])
            handler.wfile.flush()
            handler.close_connection = True
        elif fault == "flood":
            while not self.over.is_set():
                self.flooded += handler.wfile.write(b" " * 65536)
        elif fault == "trickle":
            for byte in data:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                if self.over.wait(0.05):
                    break
        else:
            handler.wfile.write(data)


def says(text: str) -> Behave:
    """A server that always says the same."""
    return lambda _, __: {"text": text}
