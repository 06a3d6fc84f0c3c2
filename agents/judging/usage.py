"""What judging took: how often a model was asked, what was found instead, tokens and money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import cast

from vt_env.judges import UsageLike

REASONS = 20
"""Kinds of failure that are told apart; the rest is counted together."""
_OTHER = "other reasons"
_LONGEST = 200


@dataclass(slots=True)
class Usage:
    """Counts since a judge was made.

    Attributes:
        queries: Queries that came in.
        settled: Decided without a model: equal to a reference, refused characters, several answers.
        remembered: Found in memory, also where they were begun ahead.
        cached: Found on disk.
        damaged: Found on disk, but not as they were written; asked anew.
        shared: Joined to an equal query that was being asked already.
        answered: Judged by the model.
        failed: Left unscored.
        tries: Attempts in all, those of failures too.
        tokens_in: Prompt tokens, those of failures too where the server told.
        tokens_out: Generated tokens, likewise.
        canaries: Planted wrong answers that were judged.
        canaries_passed: Those of them that the model accepted.
        price_in: Of a million prompt tokens, in any currency.
        price_out: Of a million generated tokens.
        reasons: How often each reason for a failure came: the 20 first ones, and all others.
    """

    queries: int = 0
    settled: int = 0
    remembered: int = 0
    cached: int = 0
    damaged: int = 0
    shared: int = 0
    answered: int = 0
    failed: int = 0
    tries: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    canaries: int = 0
    canaries_passed: int = 0
    price_in: float = 0.0
    price_out: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def hit_rate(self) -> float | None:
        """Share that the model was spared, of the queries that would have needed it."""
        needed = self.queries - self.settled
        return max(0.0, 1 - (self.answered + self.failed) / needed) if needed else None

    @property
    def canary_pass_rate(self) -> float | None:
        """Share of planted wrong answers that the model accepted; 0 is right."""
        return self.canaries_passed / self.canaries if self.canaries else None

    @property
    def cost(self) -> float:
        """Money for the tokens, by the two prices."""
        return (self.tokens_in * self.price_in + self.tokens_out * self.price_out) / 1e6

    def count(self, found: Mapping[str, int]) -> None:
        """Count a batch: how many queries there were, and where their verdicts were found."""
        for name, number in found.items():
            setattr(self, name, getattr(self, name) + number)

    def add(self, tokens_in: int, tokens_out: int, tries: int) -> None:
        """Count what one outcome took."""
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.tries += tries

    def add_reason(self, reason: str, number: int = 1) -> None:
        """Count why something failed; of a reason 200 characters are kept."""
        reason = reason[:_LONGEST]
        if reason not in self.reasons and len(self.reasons) >= REASONS:
            reason = _OTHER
        self.reasons[reason] = self.reasons.get(reason, 0) + number

    def __add__(self, other: Usage) -> Usage:
        """Both together, each at its own prices: the sum's prices give the same cost."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        made = replace(self, **counts, reasons=dict(self.reasons))
        for reason, number in other.reasons.items():
            made.add_reason(reason, number)
        for price, tokens in (("price_in", "tokens_in"), ("price_out", "tokens_out")):
            spent = sum(getattr(part, price) * getattr(part, tokens) for part in (self, other))
            used = getattr(made, tokens)
            setattr(made, price, spent / used if used else 0.0)
        return made

    def since(self, before: Usage) -> Usage:
        """What was added to an earlier copy."""
        counts = {name: getattr(self, name) - getattr(before, name) for name in _COUNTS}
        reasons = {why: n - before.reasons.get(why, 0) for why, n in self.reasons.items()}
        return replace(self, **counts, reasons={why: n for why, n in reasons.items() if n})

    def copy(self) -> Usage:
        """The counts as they are now."""
        return replace(self, reasons=dict(self.reasons))

    def numbers(self) -> dict[str, float | None]:
        """All counts by name, and hit rate, canary pass rate and cost."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        rates = {"hit_rate": self.hit_rate, "canary_pass_rate": self.canary_pass_rate}
        return {**counts, **rates, "cost": self.cost}

    def __str__(self) -> str:
        hits = self.hit_rate
        text = (
            f"{self.queries} queries: {self.settled} without a model, "
            f"{self.answered} judged, {self.failed} unscored, "
            f"{'-' if hits is None else f'{hits:.0%}'} found again; "
            f"{self.tokens_in} tokens in, {self.tokens_out} out"
        )
        if self.price_in or self.price_out:
            text += f", cost {self.cost:.4f}"
        if self.canaries:
            text += f"; {self.canaries_passed} of {self.canaries} planted wrong answers passed"
        return text


_COUNTS = [f.name for f in fields(Usage) if f.type == "int"]


def total(parts: Iterable[UsageLike | None]) -> Usage:
    """Counts of several judges together; those that count nothing are left out."""
    return sum((cast("Usage", part) for part in parts if part is not None), Usage())
