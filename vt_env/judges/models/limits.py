"""How long, how often and how many at once; and when to stop because too much fails."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from vt_env.errors import ConfigError, JudgeError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what is asked over a network.

    Attributes:
        concurrency: Requests at the same time.
        timeout: Seconds that one attempt may take, from its first byte to its last.
        deadline: Seconds that one query may take with all its attempts and waits.
        tries: Attempts.
        backoff: Seconds before the second attempt; doubled each time, with jitter, at most
            ``longest_wait``.
        longest_wait: Seconds between attempts at most. A server that asks for more is not waited
            for.

    Raises:
        ConfigError: On a value out of range.
    """

    concurrency: int = 32
    timeout: float = 30.0
    deadline: float = 120.0
    tries: int = 4
    backoff: float = 0.5
    longest_wait: float = 30.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "tries"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ConfigError(f"{name} must be from 1 to 10000, got {getattr(self, name)}")
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
    """Says when too large a share of the last judgements failed.

    Args:
        share: Of the last judgements that may fail, in (0, 1]; 1 never stops.
        least: Judgements before anything is said.
    """

    def __init__(self, share: float, least: int) -> None:
        self.share = share
        self.least = least
        self._last: deque[bool] = deque(maxlen=max(200, least))

    def note(self, name: str, failure: str | None) -> JudgeError | None:
        """Take note of a judgement.

        Args:
            name: Of the judge.
            failure: Why there is none; ``None`` where there is one.

        Returns:
            The error to stop with, or ``None``. The count then begins anew.
        """
        self._last.append(failure is not None)
        failed, seen = sum(self._last), len(self._last)
        if failure is None or seen < self.least or failed <= self.share * seen:
            return None
        self._last.clear()
        return JudgeError(
            f"the judge {name} failed in {failed} of its last {seen} judgements, and at most "
            f"{self.share:.0%} may; the last time: {failure}. What it did judge is kept: mend the "
            "cause and go on"
        )
