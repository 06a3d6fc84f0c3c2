"""What judging took: how often a model was asked, what was found instead, tokens and money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from vt_env.judges.base import Judge
from vt_env.judges.models.asking import Outcome


@dataclass(slots=True)
class Usage:
    """Counts since a judge was made.

    Attributes:
        queries: Queries that came in.
        settled: Decided without a model: equal to a reference, refused characters, several answers.
        remembered: Found in memory, also where they were begun ahead.
        cached: Found on disk.
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
        reasons: How often each reason for a failure came, the 20 first ones.
    """

    queries: int = 0
    settled: int = 0
    remembered: int = 0
    cached: int = 0
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
        """Count a batch that somebody waited for: how many there were, and where they were found.

        What is only begun ahead counts when it is waited for.
        """
        for name, number in found.items():
            setattr(self, name, getattr(self, name) + number)

    def add(self, outcome: Outcome) -> None:
        """Count what one outcome took."""
        self.tokens_in += outcome.tokens_in
        self.tokens_out += outcome.tokens_out
        self.tries += outcome.tries

    def add_reason(self, reason: str) -> None:
        """Count why something failed."""
        if reason in self.reasons or len(self.reasons) < 20:
            self.reasons[reason] = self.reasons.get(reason, 0) + 1

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


def usage_of(judge: Judge) -> Usage | None:
    """What a judge took so far; ``None`` of one that counts nothing, as rules."""
    usage = getattr(judge, "usage", None)
    return usage if isinstance(usage, Usage) else None


def total(parts: Iterable[Usage]) -> Usage:
    """Counts of several judges together, each at its own prices.

    Prices become those that give the same cost.
    """
    parts, made = list(parts), Usage()
    for part in parts:
        for name in _COUNTS:
            setattr(made, name, getattr(made, name) + getattr(part, name))
        for reason, count in part.reasons.items():
            made.reasons[reason] = made.reasons.get(reason, 0) + count
    for price, tokens in (("price_in", "tokens_in"), ("price_out", "tokens_out")):
        spent = sum(getattr(part, price) * getattr(part, tokens) for part in parts)
        used = getattr(made, tokens)
        setattr(made, price, spent / used if used else 0.0)
    return made
