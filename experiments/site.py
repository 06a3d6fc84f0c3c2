"""A site that this machine alone can reach: one secret in its address, and no file behind it."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any

from vt_env.errors import ConfigError, VisionThinkError

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


Post = Callable[[dict[str, Any]], Answer]
"""From an object of JSON to the answer."""
Get = Callable[[str], Answer | None]
"""From what follows the secret in the address to the answer; ``None``: there is no such page."""


class Site(ThreadingHTTPServer):
    """Serves what a function answers; to be read only, unless another one takes what is sent.

    Whoever does not know the secret gets the same 404 for everything, and so does a page of another
    host name, by which another site could be made to ask in a reader's browser. Only
    the page itself can send, and only so much.

    Args:
        get: Answers.
        port: Where it listens; 0 takes a free one.
        post: Takes what is sent, if anything may be.
        most: Bytes that may be sent at once.

    Attributes:
        url: The address, with the secret.
    """

    daemon_threads = True
    request_queue_size = AT_ONCE

    def __init__(self, get: Get, port: int = 0, post: Post | None = None, most: int = 0) -> None:
        self.get, self.post, self.most = get, post, most
        self._free = threading.BoundedSemaphore(AT_ONCE)
        super().__init__((HOST, port), _Handler)
        self.secret = f"/{secrets.token_urlsafe(24)}/"
        self.hosts = tuple(f"{name}:{self.server_port}" for name in (HOST, "localhost"))
        self.url = f"http://{self.hosts[0]}{self.secret}"

    @classmethod
    def at(cls, port: int, get: Get, post: Post | None = None, most: int = 0) -> Site:
        """A site at a port.

        Raises:
            ConfigError: If it cannot be listened at.
        """
        try:
            return cls(get, port, post, most)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"cannot listen on port {port}: {error}") from error

    def serve(self) -> None:
        """Answer until interrupted."""
        with suppress(KeyboardInterrupt):
            self.serve_forever()

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
        """A reader that has gone is no error; anything else is one of this program."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


_NOT_HERE = Answer(b"not here", "text/plain", HTTPStatus.NOT_FOUND)


class _Handler(BaseHTTPRequestHandler):
    server: Site  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "vt", ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer())

    def do_POST(self) -> None:
        site, length = self.server, self.headers.get("Content-Length", "")
        own = f"http://{self.headers.get('Host', '')}"
        if site.post is None or self._path() != "" or self.headers.get("Origin", own) != own:
            self._send(_NOT_HERE)
        elif not length.isdecimal() or int(length) > site.most:
            self._pass_over(int(length) if length.isdecimal() else 0)
            told = f"at most {site.most:,} bytes can be sent"
            self._send(Answer.of({"error": told}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        else:
            self._send(self._taken(site.post, self.rfile.read(int(length))))

    def _pass_over(self, left: int) -> None:
        """Read what is not taken, up to a bound: who still sends hears no answer."""
        left = min(left, 8 * self.server.most)
        while left > 0 and (part := self.rfile.read(min(left, 1 << 16))):
            left -= len(part)

    def _taken(self, post: Post, body: bytes) -> Answer:
        try:
            value = json.loads(body)
            if self.headers.get("Content-Type") == "application/json" and isinstance(value, dict):
                return post(value)
            error: object = "expected an object of JSON"
        except (VisionThinkError, OSError, ValueError, RecursionError) as raised:
            error = raised
        return Answer.of({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _path(self) -> str | None:
        """What follows the secret; ``None`` where it is not known."""
        secret = self.server.secret
        known = secrets.compare_digest(self.path[: len(secret)].encode(), secret.encode())
        here = self.headers.get("Host", "") in self.server.hosts
        return self.path[len(secret) :] if known and here else None

    def _answer(self) -> Answer:
        path, answer = self._path(), None
        if path is not None:
            try:
                answer = self.server.get(path)
            except (VisionThinkError, OSError) as error:
                return Answer.of({"error": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE)
        return answer or _NOT_HERE

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
