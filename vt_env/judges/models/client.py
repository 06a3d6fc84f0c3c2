"""One model on an OpenAI-compatible server, by the official client: connections and errors."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vt_env.errors import MissingExtra
from vt_env.judges.models.address import Address
from vt_env.judges.models.asking import Failure, Outcome, Reply
from vt_env.judges.models.completion import error_message, error_places, retry_after
from vt_env.judges.models.limits import Limits
from vt_env.judges.models.loop import Loop
from vt_env.judges.models.retry import Gate, Trouble, persist

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

logger = logging.getLogger(__name__)

_CONNECTIONS = 25
"""Of one client: for each request it looks at every connection that it has."""
_PASSING = (408, 409, 425, 429)
"""Client errors that another attempt may get past; those of the server may too."""


class RefusedError(Exception):
    """The server does not take a request as it is.

    Attributes:
        message: Everything that it says about it.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.message = message


class Client:
    """Sends requests to a server, many at a time, within limits.

    Args:
        address: Where, and which model.
        limits: Bounds.

    Raises:
        ConfigError: If a key is needed and not there.
        MissingExtra: If the package ``openai`` is not installed.
    """

    def __init__(self, address: Address, limits: Limits) -> None:
        try:
            import openai  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            raise MissingExtra("openai", "served", f"the {address.role} 'openai'") from error
        address.key()
        self.address = address
        self.limits = limits
        self.loop = Loop(address.role)
        self._line: _Line | None = None

    def __repr__(self) -> str:
        return f"Client({self.address.model!r})"

    async def persist(self, attempt: Callable[[], Awaitable[Reply]]) -> Outcome:
        """Wait for a place, then attempt until there is a reply or the limits are reached.

        Args:
            attempt: Uses :meth:`send`; returns a reply or raises ``Trouble``.
        """
        line = self._connected()
        outcome: Outcome
        async with line.room:
            try:
                outcome = await persist(attempt, self.limits, line.gate)
            except Exception as error:
                logger.exception("a request to %s failed in an unknown way", self.address.model)
                outcome = Failure(f"{type(error).__name__} in the client")
        if isinstance(outcome, Failure):
            return replace(outcome, reason=self.address.scrubbed(outcome.reason))
        return outcome

    async def send(self, body: Mapping[str, Any]) -> str:
        """One request for a chat completion; the response's body as it came.

        Raises:
            RefusedError: If the server does not take the request as it is.
            Trouble: If something else went wrong.
        """
        from openai import APIConnectionError, APIStatusError

        client = self._connected().client()
        try:
            return await client.post("/chat/completions", cast_to=str, body=body)
        except APIStatusError as error:
            raise _refusal(error) from None
        except APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise Trouble(f"cannot reach the server ({cause})") from None

    def close(self) -> None:
        """Close the connections and end the thread."""

        async def farewell() -> None:
            if self._line is not None:
                for client in self._line.clients:
                    await client.close()

        self.loop.close(farewell)
        self._line = None

    def _connected(self) -> _Line:
        """The connections of the loop that this runs in."""
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            from openai import AsyncOpenAI

            room = self.limits.concurrency
            clients = [
                AsyncOpenAI(
                    api_key=self.address.key(),
                    base_url=self.address.url,
                    max_retries=0,
                    timeout=self.limits.timeout,
                )
                for _ in range(-(-room // _CONNECTIONS))
            ]
            self._line = _Line(loop, clients, asyncio.Semaphore(room), Gate())
        return self._line


def _refusal(error: APIStatusError) -> Exception:
    """What an error status means for further attempts."""
    status = error.status_code
    message, code = error_message(error.body)
    reason = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (400, 422):
        return RefusedError(reason, f"{message} {error_places(error.body)}")
    again = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    wait = retry_after(error.response.headers)
    return Trouble(reason, again=again, wait=wait, everyone=status in (429, 503))


@dataclass(frozen=True, slots=True)
class _Line:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    clients: Sequence[AsyncOpenAI]
    room: asyncio.Semaphore
    gate: Gate
    turns: Iterator[int] = field(default_factory=itertools.count)

    def client(self) -> AsyncOpenAI:
        """The client whose turn it is."""
        return self.clients[next(self.turns) % len(self.clients)]
