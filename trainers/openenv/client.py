"""The client: OpenEnv's, with this environment's types and errors that say what to do."""

# pyright: reportMissingImports=false
from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State as Connection

from trainers.openenv.messages import (
    REPLY_LIMIT,
    TEXT_LIMIT,
    VisionThinkAction,
    VisionThinkObservation,
    VisionThinkState,
)
from vt_env.actions import ToolCall
from vt_env.env import as_turn
from vt_env.errors import VisionThinkError


class RemoteError(VisionThinkError, RuntimeError):
    """The server said no, or is gone.

    Attributes:
        code: OpenEnv's, such as ``EXECUTION_ERROR`` or ``CAPACITY_REACHED``; ``REFUSED`` where
            there was no session to begin with, ``LOST`` where there is none any more.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


Turn = VisionThinkAction | str | ToolCall


class VisionThinkClient(EnvClient[Turn, VisionThinkObservation, VisionThinkState]):
    """One session on a server.

    ``async with VisionThinkClient(url) as env``, then ``await env.reset(sample_id=…)`` and ``await
    env.step(turn)``, a text or a :class:`~vt_env.actions.ToolCall`; ``.sync()`` gives a client that
    does not await. Results have ``observation``, ``reward`` (``None``: unscored, or not over) and
    ``done``.

    A session that the server closed is not replaced in silence: a step then raises, and the next
    reset opens a new one.

    Args:
        url: The server's, e.g. ``http://127.0.0.1:8000``.
        token: Where the server wants one.
        timeout_s: Seconds to wait for a reply.
        settings: Everything else that OpenEnv's client takes.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout_s: float = 180.0, **settings: Any
    ) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        super().__init__(
            url,
            message_timeout_s=timeout_s,
            max_message_size_mb=REPLY_LIMIT / 2**20,
            headers=headers,
            mode="simulation",
            **settings,
        )

    async def __aenter__(self) -> VisionThinkClient:
        await super().__aenter__()
        return self

    async def _connect_async(self) -> VisionThinkClient:
        try:
            await super()._connect_async()
        except ConnectionError as error:
            raise RemoteError("REFUSED", _why(error)) from error
        return self

    async def _reset_async(self, **options: Any) -> StepResult[VisionThinkObservation]:
        if self._ws is not None and self._ws.state is not Connection.OPEN:
            await self._disconnect_async()
        return await super()._reset_async(**options)

    async def _step_async(self, action: Turn, **_: Any) -> StepResult[VisionThinkObservation]:
        if self._ws is not None and self._ws.state is not Connection.OPEN:
            why = self._ws.close_reason or "the connection ended"
            raise RemoteError("LOST", f"the session is gone ({why}); call reset() to begin anew")
        return await super()._step_async(action)

    async def _send_and_receive(self, message: dict[str, Any]) -> dict[str, Any]:
        with suppress(ConnectionClosed):  # who is refused finds the reason in what came before
            await self._send(message)
        try:
            reply = await self._receive()
        except ConnectionClosed as error:
            why = error.rcvd.reason if error.rcvd else "the connection ended"
            raise RemoteError("LOST", f"the server closed the session: {why}") from error
        except TimeoutError as error:
            seconds = self._message_timeout
            raise RemoteError("LOST", f"no reply in {seconds:g} s; call reset()") from error
        if reply.get("type") == "error":
            told = reply["data"]
            raise RemoteError(str(told.get("code")), str(told.get("message")))
        return reply

    def _step_payload(self, action: Turn) -> dict[str, Any]:
        text = action.text if isinstance(action, VisionThinkAction) else as_turn(action)
        if len(text) > TEXT_LIMIT:
            told = f"a turn has at most {TEXT_LIMIT} characters, got {len(text)}"
            raise RemoteError("VALIDATION_ERROR", told)
        return {"text": text}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[VisionThinkObservation]:
        reward, done = payload["reward"], payload["done"]
        observation = VisionThinkObservation(**payload["observation"], reward=reward, done=done)
        return StepResult(observation, reward, done)

    def _parse_state(self, payload: dict[str, Any]) -> VisionThinkState:
        return VisionThinkState(**payload)


def _why(error: ConnectionError) -> str:
    """What a server that refuses a connection says of it, where it says something."""
    answer = getattr(error.__cause__, "response", None)
    try:
        return str(json.loads(getattr(answer, "body", None) or b"")["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error)
