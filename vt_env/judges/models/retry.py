"""Trying again, within limits: attempts, waits, and one deadline over all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from vt_env.judges.models.asking import Failure, Outcome, Reply
from vt_env.judges.models.limits import Limits


class Trouble(Exception):
    """An attempt that failed; ``str(error)`` says why, in one line and without secrets.

    Args:
        reason: Why.
        again: Whether another attempt may do better.
        wait: Seconds that the server asked to wait.
        everyone: Whether other queries should hold back as well.
        tokens_in: Tokens that were paid for.
        tokens_out: Likewise.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = True,
        wait: float | None = None,
        everyone: bool = False,
        tokens_in: int = 0,
        tokens_out: int = 0,
    ) -> None:
        super().__init__(reason)
        self.again = again
        self.wait = wait
        self.everyone = everyone
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out


class Gate:
    """Holds everybody back until a server that is overrun takes requests again."""

    def __init__(self) -> None:
        self._opens = 0.0

    def hold(self, seconds: float) -> None:
        """Let nobody through for so long."""
        self._opens = max(self._opens, time.monotonic() + seconds)

    async def passed(self) -> None:
        """Wait until it is open."""
        while (left := self._opens - time.monotonic()) > 0:
            await asyncio.sleep(left)


async def persist(attempt: Callable[[], Awaitable[Reply]], limits: Limits, gate: Gate) -> Outcome:
    """Attempt until there is a reply, or no attempt or time is left.

    Args:
        attempt: Returns a readable reply or raises :class:`Trouble`.
        limits: Bounds of each attempt and of all.
        gate: Shared by all that ask the same server.
    """
    spent = _Spent()
    try:
        async with asyncio.timeout(limits.deadline):
            while True:
                await gate.passed()
                spent.tries += 1
                reply = await _once(attempt, limits, gate, spent)
                if reply is not None:
                    return Reply(
                        reply.text,
                        reply.probability,
                        reply.tokens_in + spent.tokens_in,
                        reply.tokens_out + spent.tokens_out,
                        spent.tries,
                    )
                if spent.last_wait is None:
                    break
                await asyncio.sleep(spent.last_wait)
    except TimeoutError:
        spent.reason = spent.reason or f"timed out after {limits.deadline:g} s"
    return Failure(spent.reason, spent.tokens_in, spent.tokens_out, spent.tries)


class _Spent:
    """What attempts took so far, and why the last one failed."""

    def __init__(self) -> None:
        self.tries = 0
        self.tokens_in = 0
        self.tokens_out = 0
        self.reason = ""
        self.last_wait: float | None = None


async def _once(
    attempt: Callable[[], Awaitable[Reply]], limits: Limits, gate: Gate, spent: _Spent
) -> Reply | None:
    """One attempt; what went wrong is noted, and how long to wait if it is worth another."""
    try:
        async with asyncio.timeout(limits.timeout):
            return await attempt()
    except TimeoutError:
        trouble = Trouble(f"timed out after {limits.timeout:g} s")
    except Trouble as error:
        trouble = error
    spent.tokens_in += trouble.tokens_in
    spent.tokens_out += trouble.tokens_out
    spent.reason = str(trouble)
    again = trouble.again and spent.tries < limits.tries
    spent.last_wait = limits.pause(spent.tries, trouble.wait) if again else None
    if trouble.everyone and spent.last_wait is not None:
        gate.hold(spent.last_wait)
    return None
