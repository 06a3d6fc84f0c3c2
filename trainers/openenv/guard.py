"""What stands before OpenEnv's app: who may come in, and how much and how long.

Plain ASGI, so that it sees a WebSocket before it is accepted and every message of it. OpenEnv
answers a wrong field with "Invalid message" and ends the session over JSON that is no object; here
each fault of a message is told, and the session goes on.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NoReturn

from pydantic import BaseModel, ValidationError

from trainers.openenv.messages import ResetOptions, VisionThinkAction

_DATA: Mapping[str, type[BaseModel] | None] = {
    "reset": ResetOptions,
    "step": VisionThinkAction,
    "state": None,
    "close": None,
}
_SHOWN = 80
"""Characters of what came that an error repeats."""


def fault(frame: str | None) -> dict[str, str] | None:
    """What is wrong with a message.

    Args:
        frame: A text frame; ``None`` for a binary one.

    Returns:
        ``code`` and ``message`` for the client, or ``None`` if it can be passed on.
    """
    if frame is None:
        return _error("INVALID_JSON", "expected text frames with JSON, got a binary frame")
    try:
        message = json.loads(frame, parse_constant=_no_constant)
        json.dumps(message, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return _error("INVALID_JSON", "the text holds half of a surrogate pair, which is no text")
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        return _error("INVALID_JSON", f"the message is not JSON: {why:.{_SHOWN}}")
    if not isinstance(message, dict):
        kind = type(message).__name__
        return _error("VALIDATION_ERROR", f'expected {{"type": …, "data": {{…}}}}, got a {kind}')
    name = message.get("type")
    if not isinstance(name, str) or name not in _DATA:
        shown, known = repr(name)[:_SHOWN], ", ".join(_DATA)
        return _error("UNKNOWN_TYPE", f"unknown type of message {shown}; known: {known}")
    model = _DATA[name]
    allowed = {"type"} if model is None else {"type", "data"}
    if unknown := sorted(message.keys() - allowed):
        shown = repr(unknown[0])[:_SHOWN]
        return _error("VALIDATION_ERROR", f"{name}: unknown field {shown} beside {sorted(allowed)}")
    return _fault_of_data(name, model, message.get("data", {})) if model else None


def _fault_of_data(name: str, model: type[BaseModel], data: Any) -> dict[str, str] | None:
    try:
        model.model_validate(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, p['loc'])) or 'data'}: {p['msg']}"[: 2 * _SHOWN]
            for p in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        known = ", ".join(model.model_fields)
        told = "; ".join(problems[:4])
        return _error("VALIDATION_ERROR", f"{name}: {told} (its fields: {known})")
    return None


def _error(code: str, message: str) -> dict[str, str]:
    return {"code": code, "message": message.encode("utf-8", "replace").decode("utf-8")}


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


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
        most: WebSockets at once.
    """

    def __init__(self, app: App, token: str | None, idle_s: float, most: int) -> None:
        self.app = app
        self.idle_s = idle_s
        self.most = most
        self._open = 0
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif refusal := self._refusal(scope):
            await _refuse(scope["type"], *refusal, send)
        elif scope["type"] == "http":
            await self.app(scope, _no_body, _closing(send))
        elif self._open >= self.most:
            await _refuse("websocket", 503, "too many connections: try again later", send)
        else:
            patient = self._patient(send)
            self._open += 1
            try:
                await self.app(scope, self._checked(receive, patient), patient)
            finally:
                self._open -= 1

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
    error = {"type": "error", "data": {"message": message, "code": code}}
    return {"type": "websocket.send", "text": json.dumps(error)}


async def _close_idle(seconds: float, send: Send) -> Event:
    message = f"no message for {seconds:g} s, so the session was closed; connect and reset anew"
    await send(_error_frame("SESSION_ERROR", message))
    await send({"type": "websocket.close", "code": 1001, "reason": message})
    return {"type": "websocket.disconnect", "code": 1001}


def _closing(send: Send) -> Send:
    """Sending, after which the connection is closed: one request each, so that none lingers."""

    async def closing(event: Event) -> None:
        if event["type"] == "http.response.start":
            event["headers"] = [*event.get("headers", []), (b"connection", b"close")]
        await send(event)

    return closing


async def _no_body() -> Event:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _refuse(kind: str, status: int, sentence: str, send: Send) -> None:
    """Answer without the app; a WebSocket is refused before it is one."""
    prefix = "websocket.http" if kind == "websocket" else "http"
    body = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if kind == "http":
        headers.append((b"connection", b"close"))
    await send({"type": f"{prefix}.response.start", "status": status, "headers": headers})
    await send({"type": f"{prefix}.response.body", "body": body})
