"""Trying again, within limits: attempts, waits, one deadline over all; and when to stop asking."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from vt_env.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is asked over a network.

    Attributes:
        concurrency: Requests at the same time, of all processes that play a run together.
        timeout: Seconds that one attempt may take, from its first byte to its last.
        deadline: Seconds that one query may take with all its attempts and waits.
        tries: Attempts.
        backoff: Seconds before the second attempt; doubled each time, with jitter, at most
            ``longest_wait``.
        longest_wait: Seconds between attempts at most. A server that asks for more is not waited
            for.
        reply_bytes: Largest reply, after it is unpacked. A model that thinks long and tells
            probabilities needs more.

    Raises:
        ConfigError: On a value out of range.
    """

    concurrency: int = 32
    timeout: float = 30.0
    deadline: float = 120.0
    tries: int = 4
    backoff: float = 0.5
    longest_wait: float = 30.0
    reply_bytes: int = 2 * 2**20

    def __post_init__(self) -> None:
        for name in ("concurrency", "tries"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ConfigError(f"{name} must be from 1 to 10000, got {getattr(self, name)}")
        if not 1024 <= self.reply_bytes <= 2**30:
            raise ConfigError(f"reply_bytes must be from 1024 to 2**30, got {self.reply_bytes}")
        for name in ("timeout", "deadline", "backoff", "longest_wait"):
            if not 0 < getattr(self, name) <= 86_400:
                raise ConfigError(
                    f"{name} must be seconds, above 0 and at most 86400, got {getattr(self, name)}"
                )

    def pause(self, tries: int, asked: float | None) -> float | None:
        """Seconds to wait after so many attempts, or ``None`` if it is not worth it.

        Args:
            tries: Attempts so far, at least 1.
            asked: Seconds that the server asked for, if it did.
        """
        if asked is not None and asked > self.longest_wait:
            return None
        jitter = random.uniform(0.5, 1.5)
        own = min(self.longest_wait, self.backoff * 2.0 ** min(tries - 1, 30)) * jitter
        return own if asked is None else asked + own * 0.1


class FailureWatch:
    """Says when too large a share of the last judgements, turns or rollouts failed.

    Args:
        share: Of the last ones that may fail, in [0, 1]; 1 never stops, 0 stops at the first.
        least: So many before anything is said of a share above 0.
    """

    def __init__(self, share: float, least: int) -> None:
        self.share = share
        self.least = least if share else 1
        self._last: deque[bool] = deque(maxlen=max(200, least))
        self._works = False

    def note(self, failed: bool) -> str:
        """Take note of an attempt.

        Returns:
            How many failed, where that is too many; else an empty text. The count then begins
            anew.
        """
        self._last.append(failed)
        failures, seen = sum(self._last), len(self._last)
        if not failed or seen < self.least or failures <= self.share * seen:
            return ""
        self._last.clear()
        return f"{failures} of its last {seen}"

    def too_many(self, failures: Iterable[str], what: str) -> str:
        """Take note of attempts: why each failed, an empty text for one that did not.

        Args:
            failures: In their order.
            what: The attempts' name, in the plural.

        Returns:
            Why going on is no use, if too many failed; else an empty text.
        """
        for failure in failures:
            if many := self.note(bool(failure)):
                return f"{failure}; that is so in {many} {what}, too many to go on"
        return ""

    def why_stop(self, failures: Iterable[str], what: str) -> str:
        """As :meth:`too_many`, or why the last one failed if none has gone well yet."""
        failures = list(failures)
        self._works |= not all(failures)
        last = next(filter(None, reversed(failures)), "")
        return self.too_many(failures, what) or ("" if self._works else last)


T = TypeVar("T")


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


@dataclass(slots=True)
class Spent:
    """What attempts took, and why the last one failed.

    Attributes:
        tries: Attempts that were made.
        tokens_in: Tokens of prompts, of the attempts that failed.
        tokens_out: Tokens generated, likewise.
        reason: Why the last failed; empty if none did.
    """

    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    reason: str = ""


async def persist(
    attempt: Callable[[], Awaitable[T]], limits: Limits, gate: Gate
) -> tuple[T | None, Spent]:
    """Attempt until it succeeds, or no attempt or time is left.

    Args:
        attempt: Returns what is wanted, never ``None``, or raises :class:`Trouble`.
        limits: Bounds of each attempt and of all.
        gate: Shared by all that ask the same server.

    Returns:
        What the attempt returned, ``None`` if none succeeded, and what all of them took.
    """
    spent = Spent()
    try:
        async with asyncio.timeout(limits.deadline):
            while True:
                await gate.passed()
                spent.tries += 1
                try:
                    async with asyncio.timeout(limits.timeout):
                        return await attempt(), spent
                except TimeoutError:
                    trouble = Trouble(f"timed out after {limits.timeout:g} s")
                except Trouble as error:
                    trouble = error
                wait = _wait(trouble, limits, gate, spent)
                if wait is None:
                    return None, spent
                await asyncio.sleep(wait)
    except TimeoutError:
        spent.reason = spent.reason or f"timed out after {limits.deadline:g} s"
    return None, spent


def _wait(trouble: Trouble, limits: Limits, gate: Gate, spent: Spent) -> float | None:
    """Note what went wrong; seconds to wait, if another attempt is worth it."""
    spent.tokens_in += trouble.tokens_in
    spent.tokens_out += trouble.tokens_out
    spent.reason = str(trouble)
    again = trouble.again and spent.tries < limits.tries
    wait = limits.pause(spent.tries, trouble.wait) if again else None
    if trouble.everyone and wait is not None:
        gate.hold(wait)
    return wait
