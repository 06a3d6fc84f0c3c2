"""What stands before OpenEnv's app: who may come in, and how much and how long.

Plain ASGI, so that it sees a WebSocket before it is accepted and every message of it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from trainers.openenv.frames import fault

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]

PATHS = {"websocket": ("/ws",), "http": ("/health", "/metadata", "/schema")}
"""All else that OpenEnv serves makes environments without a session, or runs tools."""


class Guard:
    """Lets in who has the token, on the paths that are needed, with messages that can be read.

    Args:
        app: OpenEnv's.
        token: What a client has to show, as ``Authorization: Bearer TOKEN``; ``None``: nothing.
        idle_s: Seconds without a message after which a session is closed; also how long a client
            may take to read a reply.
    """

    def __init__(self, app: App, token: str | None, idle_s: float) -> None:
        self.app = app
        self.idle_s = idle_s
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await _refuse(scope["type"], *refusal, send)
        elif scope["type"] == "http":
            await self.app(scope, _no_body, send)
        else:
            patient = self._patient(send)
            await self.app(scope, self._checked(receive, patient), patient)

    def _refusal(self, scope: Any) -> tuple[int, str] | None:
        """A status and a sentence for who is not let in."""
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        if any(name == b"origin" for name, _ in headers):
            return 403, "this server is not for web pages: it takes no request with an Origin"
        if self._expected is not None:
            shown = [value for name, value in headers if name == b"authorization"]
            if len(shown) != 1 or not hmac.compare_digest(shown[0], self._expected):
                return 401, "this server wants its token: Authorization: Bearer TOKEN"
        if scope["path"] not in PATHS[scope["type"]]:
            known = ", ".join([*PATHS["websocket"], *PATHS["http"]])
            return 404, f"there is nothing here; a session is a WebSocket at /ws (paths: {known})"
        if scope["query_string"]:  # OpenEnv's could name the session of another client
            return 400, "expected an address without a query"
        if scope["type"] == "http" and scope["method"] != "GET":
            return 405, "expected GET; an episode is played over a WebSocket at /ws"
        if any(name == b"content-length" and value != b"0" for name, value in headers):
            return 413, "expected a request without a body"
        return None

    def _checked(self, receive: Receive, send: Send) -> Receive:
        """Messages of a client, those with a fault answered and held back."""

        async def checked() -> Event:
            while True:
                try:
                    event = await asyncio.wait_for(receive(), self.idle_s)
                except TimeoutError:
                    return await _close_idle(self.idle_s, send)
                if event["type"] != "websocket.receive":
                    return event
                problem = fault(event.get("text"))
                if problem is None:
                    return event
                await send(_error_frame(**problem))

        return checked

    def _patient(self, send: Send) -> Send:
        """Sending, to a client that reads."""

        async def patient(event: Event) -> None:
            await asyncio.wait_for(send(event), self.idle_s)

        return patient


def _error_frame(code: str, message: str) -> Event:
    told = {"type": "error", "data": {"message": message, "code": code}}
    return {"type": "websocket.send", "text": json.dumps(told)}


async def _close_idle(seconds: float, send: Send) -> Event:
    message = f"no message for {seconds:g} s, so the session was closed; connect and reset anew"
    await send(_error_frame("SESSION_ERROR", message))
    await send({"type": "websocket.close", "code": 1001, "reason": message})
    return {"type": "websocket.disconnect", "code": 1001}


async def _no_body() -> Event:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _refuse(kind: str, status: int, sentence: str, send: Send) -> None:
    """Answer without the app; a WebSocket is refused before it is one."""
    prefix = "websocket.http" if kind == "websocket" else "http"
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 413:
        headers.append((b"connection", b"close"))
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})
