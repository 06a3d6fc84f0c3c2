"""Verdicts in memory, by what decides them in a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future

from vt_env.judges.base import Verdict

REMEMBERED = 262_144
"""Verdicts in one memory; when there would be more, all are forgotten."""

Content = tuple[str, tuple[str, ...], str, tuple[str, ...]]
"""Question, references, answer, choices."""

Slots = dict[Content, Verdict | Future[Verdict]]
"""Where verdicts of a batch are put, or what they are waited for with."""


class Memory:
    """A bounded table of verdicts. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._verdicts: dict[Content, Verdict] = {}

    def get(self, content: Content) -> Verdict | None:
        """What is remembered, or ``None``."""
        return self._verdicts.get(content)

    def fill(self, contents: Sequence[Content], slots: Slots) -> int:
        """Put what is remembered into slots, and say to how many contents it applies."""
        known = self._verdicts
        before = 0
        for content in contents:
            verdict = known.get(content)
            if verdict is not None:
                slots[content] = verdict
                before += 1
        return before

    def add(self, verdicts: Mapping[Content, Verdict]) -> None:
        """Remember more."""
        if len(self._verdicts) + len(verdicts) > REMEMBERED:
            self._verdicts.clear()
        self._verdicts.update(verdicts)
