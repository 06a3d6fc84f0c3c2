"""The judge ``openai``: a model behind an OpenAI-compatible server, by the official client."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vt_env.errors import MissingExtra
from vt_env.judges.models.address import Address, read_address
from vt_env.judges.models.asking import Ask, Failure, Heard, Outcome, Reply
from vt_env.judges.models.completion import error_message, read_completion, retry_after
from vt_env.judges.models.judge import ModelJudge
from vt_env.judges.models.judging import Judging
from vt_env.judges.models.limits import Limits
from vt_env.judges.models.loop import Loop
from vt_env.judges.models.parameters import Parameters, Sampling
from vt_env.judges.models.retry import Gate, Trouble, persist
from vt_env.judges.models.settings import make, read_spec

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI

logger = logging.getLogger(__name__)

_CONNECTIONS = 25
"""Of one client: for each request it looks at every connection that it has."""
_PASSING = (408, 409, 425, 429)
"""Client errors that another attempt may get past; those of the server may too."""


@dataclass(frozen=True, slots=True)
class _Key:
    key_env: str = "OPENAI_API_KEY"


def openai_judge(spec: str = "", **options: Any) -> ModelJudge:
    """From ``MODEL@URL[,option=value…]``; without a URL, OpenAI's own server.

    Options are the fields of ``Judging``, ``Limits`` and ``Sampling``, and ``key_env``.

    Raises:
        ConfigError: On a wrong setting, or a key that is not there.
        MissingExtra: If the package ``openai`` is not installed.
    """
    head, options = read_spec("openai", spec, options)
    judging, limits, sampling, key = make("openai", options, Judging, Limits, Sampling, _Key)
    return ModelJudge(Server(read_address(head, key.key_env), limits, sampling), judging)


class Server:
    """Asks a server, many requests at a time, within limits.

    Args:
        address: Where, and which model.
        limits: Bounds.
        sampling: How verdicts are drawn.

    Raises:
        ConfigError: If a key is needed and not there.
        MissingExtra: If the package ``openai`` is not installed.
    """

    def __init__(
        self, address: Address, limits: Limits | None = None, sampling: Sampling | None = None
    ) -> None:
        try:
            import openai  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            raise MissingExtra("openai", "judge", "the judge 'openai'") from error
        address.key()
        sampling = sampling or Sampling()
        self.address = address
        self.limits = limits or Limits()
        self.name = f"openai:{address.model}"
        self.identity = f"openai model {address.model!r}, {sampling.identity}"
        self.parameters = Parameters(sampling)
        self._loop = Loop()
        self._line: _Line | None = None

    def __repr__(self) -> str:
        return f"Server({self.address.model!r})"

    def start(self, asks: Sequence[Ask], heard: Heard) -> None:
        """Begin to ask, and return at once."""

        async def all_of_them() -> None:
            await asyncio.gather(*(self._one(i, ask, heard) for i, ask in enumerate(asks)))

        self._loop.run(all_of_them)

    def drop(self) -> None:
        """Give up what is being asked."""
        self._loop.cancel()

    def close(self) -> None:
        """Close the connections and end the thread."""

        async def farewell() -> None:
            if self._line is not None:
                for client in self._line.clients:
                    await client.close()

        self._loop.close(farewell)
        self._line = None

    async def _one(self, place: int, ask: Ask, heard: Heard) -> None:
        line = self._connected()
        outcome: Outcome
        async with line.room:
            try:
                outcome = await persist(lambda: self._attempt(line, ask), self.limits, line.gate)
            except Exception as error:
                logger.exception("a request to the judge %s failed in an unknown way", self.name)
                outcome = Failure(f"{type(error).__name__} in the client")
        if isinstance(outcome, Failure):
            outcome = replace(outcome, reason=self.address.scrubbed(outcome.reason))
        heard(place, outcome)

    def _connected(self) -> _Line:
        """The client of the loop that this runs in."""
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

    async def _attempt(self, line: _Line, ask: Ask) -> Reply:
        """One attempt; parameters that the server refuses are left out, which is no new attempt."""
        without: set[str] = set()
        while True:
            sent = self.parameters.sent(without)
            try:
                reply = await self._request(line.client(), ask, sent)
            except _RefusedError as refusal:
                name = self.parameters.blamed(refusal.message, sent)
                guess = "structured_outputs" if "structured_outputs" in sent else None
                if name is not None:
                    self._leave_out({name})
                elif guess is not None:
                    without.add(guess)
                else:
                    raise Trouble(refusal.reason, again=False) from None
                continue
            if without:
                self._leave_out(without)
            return reply

    def _leave_out(self, names: set[str]) -> None:
        if new := names - self.parameters.refused:
            self.parameters.refused |= new
            logger.warning(
                "the server of the judge %s refuses %s: asking without", self.name, ", ".join(new)
            )

    async def _request(self, client: AsyncOpenAI, ask: Ask, sent: Sequence[str]) -> Reply:
        from openai import APIConnectionError, APIStatusError

        asked = {"model": self.address.model, **self.parameters.body(ask, sent)}
        try:
            body = await client.post("/chat/completions", cast_to=str, body=asked)
        except APIStatusError as error:
            raise _refusal(error) from None
        except APIConnectionError as error:
            cause = type(error.__cause__ or error).__name__
            raise Trouble(f"cannot reach the server ({cause})") from None
        reply = read_completion(body, ask)
        return reply if "logprobs" in sent else replace(reply, probability=None)


def _refusal(error: APIStatusError) -> Exception:
    """What an error status means for further attempts."""
    status = error.status_code
    message, code = error_message(error.body)
    reason = f"HTTP {status}: {message}" if message else f"HTTP {status}"
    if status in (400, 422):
        return _RefusedError(reason, message)
    again = (status in _PASSING or status >= 500) and code != "insufficient_quota"
    wait = retry_after(error.response.headers)
    return Trouble(reason, again=again, wait=wait, everyone=status in (429, 503))


class _RefusedError(Exception):
    """The server does not take a request as it is."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.message = message


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
