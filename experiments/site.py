"""A site that this machine alone can reach: one secret in its address, and no file behind it."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from vt_env.errors import VisionThinkError

HOST = "127.0.0.1"
AT_ONCE = 32
"""Requests that are answered at the same time; more are hung up on."""
PATIENCE_S = 20.0
"""Seconds without a byte after which a request is given up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent.

    Attributes:
        body: Its bytes.
        kind: Its media type.
        status: Of HTTP.
    """

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK

    @classmethod
    def of(cls, value: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
        """A JSON value."""
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return cls(text.encode("utf-8", "replace"), status=status)


Get = Callable[[str], Answer | None]
"""From what follows the secret in the address to the answer; ``None``: there is no such page."""


class Site(ThreadingHTTPServer):
    """Serves what a function answers, to be read only.

    Whoever does not know the secret gets the same 404 for everything, and so does a page of another
    host name, by which another site could be made to ask in a reader's browser. Bodies of requests
    are not read.

    Args:
        get: Answers.
        port: Where it listens; 0 takes a free one.

    Attributes:
        url: The address, with the secret.
    """

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, get: Get, port: int = 0) -> None:
        self.get = get
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((HOST, port), _Handler)
        self.secret = f"/{secrets.token_urlsafe(24)}/"
        self.hosts = tuple(f"{name}:{self.server_port}" for name in (HOST, "localhost"))
        self.url = f"http://{self.hosts[0]}{self.secret}"

    def process_request(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Answer in a thread of its own, if there is room by then."""
        if self._free.acquire(timeout=1):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(
        self, request: socket | tuple[bytes, socket], client_address: Any
    ) -> None:
        """Answer, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has gone is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: Site  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "vt", ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer())

    def _answer(self) -> Answer:
        secret = self.server.secret
        known = secrets.compare_digest(self.path[: len(secret)].encode(), secret.encode())
        answer = None
        if known and self.headers.get("Host", "") in self.server.hosts:
            try:
                answer = self.server.get(self.path[len(secret) :])
            except (VisionThinkError, OSError) as error:
                return Answer.of({"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return answer or Answer(b"not here", "text/plain", HTTPStatus.NOT_FOUND)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses hold the secret."""
