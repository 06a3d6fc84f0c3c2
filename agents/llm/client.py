"""One model on an OpenAI-compatible server: connections, bounds and errors."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from agents.llm.address import Address
from agents.llm.loop import Loop, PerProcess, leave
from agents.llm.replies import error_message, error_places, read_json, retry_after
from agents.llm.retry import Gate, Limits, Spent, Trouble, persist
from vt_env.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from httpx2 import AsyncClient, Response

logger = logging.getLogger(__name__)

T = TypeVar("T")
_CONNECTIONS = 25
"""Of one client: for each request it looks at every connection that it has."""
_PASSING = (408, 409, 425, 429)
"""Client errors that another attempt may get past; those of the server may too."""
_REASON = 200
"""Characters of a reason that are kept."""
_processes = 1


def share_requests(processes: int) -> None:
    """Say that this is one of so many processes that ask the same servers.

    Of each bound on requests at the same time every one of them takes an equal share, and at least
    one request; clients that have sent some already go on as they began.
    """
    global _processes
    _processes = processes


class RefusedError(Exception):
    """The server does not take a request as it is.

    Attributes:
        message: Everything that it says about it.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.message = message


class Client(PerProcess):
    """Sends requests to a server, many at a time, within limits.

    It can be pickled, and a forked process opens connections of its own.

    Args:
        address: Where, and which model.
        limits: Bounds.

    Raises:
        ConfigError: If a key is needed and not there, or proxies or certificates are named that
            cannot be used.
        MissingExtra: If the package ``httpx2`` is not installed.
    """

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address = address
        self.limits = limits
        self.loop = Loop(address.role)
        self._line: _Line | None = None
        address.key()
        self._open(1)  # what cannot be opened is better known now
        super().__init__()

    def __repr__(self) -> str:
        return f"Client({self.address.model!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Client, (self.address, self.limits)

    def _forked(self) -> None:
        leave(self._line)
        self._line = None

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> tuple[T | None, Spent]:
        """Wait for a place, then attempt until it succeeds or the limits are reached.

        It never raises: whatever goes wrong is a reason.

        Args:
            attempt: Uses :meth:`send`; returns what is wanted or raises ``Trouble``.

        Returns:
            What the attempt returned, or ``None``; and what it took, with the reason.
        """
        done: T | None = None
        try:
            line = self._connected()
            async with line.room:
                done, spent = await persist(attempt, self.limits, line.gate)
        except ConfigError as error:
            spent = Spent(reason=str(error))
        except Exception as error:
            logger.exception("a request to %s failed in an unknown way", self.address.model)
            spent = Spent(reason=f"{type(error).__name__} in the client")
        words = " ".join(spent.reason[: 20 * _REASON].split())
        spent.reason = self.address.scrubbed(words)[:_REASON]
        return done, spent

    async def send(self, body: Mapping[str, Any]) -> Any:
        """One request for a chat completion; what the server replied, without the key.

        Raises:
            RefusedError: If the server does not take the request as it is.
            Trouble: If something else went wrong.
        """
        from httpx2 import DecodingError, InvalidURL, TransportError

        client = self._connected().client()
        url = f"{self.address.url}/chat/completions"
        headers = {
            "Authorization": f"Bearer {self.address.key()}",
            "Content-Type": "application/json",
        }
        data = json.dumps(body, allow_nan=False).encode("ascii")
        try:
            async with client.stream("POST", url, content=data, headers=headers) as response:
                if response.has_redirect_location:
                    raise Trouble(
                        f"HTTP {response.status_code}: the server sends requests on to another "
                        "address, which is not followed: name that address itself",
                        again=False,
                    )
                content = await self._read(response)
        except DecodingError:
            raise Trouble("the server's reply cannot be unpacked") from None
        except (TransportError, InvalidURL) as error:
            raise Trouble(f"cannot reach the server ({type(error).__name__})") from None
        if response.is_success:
            return read_json(content, self.address.scrubbed)
        raise _refusal(response, self._said(content))

    async def _read(self, response: Response) -> bytes:
        """The body, unpacked; not a byte is unpacked beyond the limit's next mebibyte."""
        content, limit = bytearray(), self.limits.reply_bytes
        async for piece in response.aiter_bytes():
            if len(content) + len(piece) > limit:
                raise Trouble(
                    f"the server's reply is longer than {limit:,} bytes (reply_bytes)", again=False
                )
            content += piece
        return bytes(content)

    def _said(self, content: bytes) -> Any:
        """The body of an error; nothing where it cannot be read."""
        try:
            return read_json(content, self.address.scrubbed)
        except Trouble:
            return None

    def close(self) -> None:
        """Close the connections and end the thread."""
        line, self._line = self._line, None

        async def farewell() -> None:
            for client in line.clients if line is not None else ():
                await client.aclose()

        self.loop.close(farewell)

    def _connected(self) -> _Line:
        """The connections of the loop that this runs in.

        Raises:
            ConfigError: If they cannot be opened.
        """
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            room = max(1, self.limits.concurrency // _processes)
            clients = self._open(-(-room // _CONNECTIONS))
            self._line = _Line(loop, clients, asyncio.Semaphore(room), Gate())
        return self._line

    def _open(self, number: int) -> list[AsyncClient]:
        """HTTP clients; a server on this machine is never asked through a proxy."""
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra("httpx2", "served", f"the {self.address.role} 'openai'") from error
        environment = not self.address.loopback
        try:
            context = httpx2.create_ssl_context(trust_env=environment)
            return [
                httpx2.AsyncClient(
                    verify=context,
                    trust_env=environment,
                    timeout=self.limits.timeout,
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
                )
                for _ in range(number)
            ]
        except Exception as error:  # a bad URL of a proxy raises what is not of one type
            raise ConfigError(
                f"no connection to the {self.address.role}'s server can be made ({_why(error)}): "
                "look at the environment variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and "
                "SSL_CERT_FILE"
            ) from None


def _why(error: Exception) -> str:
    """What went wrong, without the URL of a proxy, which may hold a password."""
    if isinstance(error, ImportError):
        return "a SOCKS proxy needs the package 'socksio'"
    if isinstance(error, OSError):
        return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror)
    return "a proxy has a URL that cannot be used"


def _refusal(response: Response, body: Any) -> Exception:
    """What an error status means for further attempts."""
    status = response.status_code
    message, code = error_message(body)
    reason = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (400, 422):
        return RefusedError(reason, f"{message} {error_places(body)}")
    again = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    wait = retry_after(response.headers)
    return Trouble(reason, again=again, wait=wait, everyone=status in (429, 503))


@dataclass(frozen=True, slots=True)
class _Line:
    """What belongs to one event loop."""

    loop: asyncio.AbstractEventLoop
    clients: Sequence[AsyncClient]
    room: asyncio.Semaphore
    gate: Gate
    turns: Iterator[int] = field(default_factory=itertools.count)

    def client(self) -> AsyncClient:
        """The client whose turn it is."""
        return self.clients[next(self.turns) % len(self.clients)]
