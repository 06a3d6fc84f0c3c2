"""A judge made of one pure rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vt_env.errors import ConfigError
from vt_env.judges.base import Query, Verdict
from vt_env.judges.characters import objection, usable

PASS = 0.5
"""A graded score from here on counts as correct."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says: a score in [0, 1], or ``None`` for unscored, and why."""

    score: float | None
    reason: str

    @classmethod
    def of(cls, accepted: bool, right: str, wrong: str) -> Ruling:
        """A full or a zero score with the fitting reason."""
        return cls(1.0, right) if accepted else cls(0.0, wrong)


Rule = Callable[[Query], Ruling]


class RuleJudge:
    """Scores every query by one rule; ``correct`` means a score of at least one half.

    Args:
        name: The name written into every verdict, with the variant (``relaxed:official``).
        rule: A pure function; it must not raise for any text.
    """

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self._rule = rule

    def __repr__(self) -> str:
        return f"RuleJudge({self.name!r})"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; without a reference it is unscored."""
        return [self._judge(query) for query in queries]

    def _judge(self, query: Query) -> Verdict:
        references = usable(query.references)
        if not references:
            return Verdict(None, self.name, "no usable reference")
        if len(references) < len(query.references):
            query = replace(query, references=tuple(references))
        ruling = self._rule(query)
        if ruling.score is None:
            return Verdict(None, self.name, ruling.reason)
        return Verdict(ruling.score >= PASS, self.name, ruling.reason, ruling.score)


def refused(query: Query) -> Ruling | None:
    """A zero for an answer whose characters disqualify it (see ``characters.objection``)."""
    problem = objection(query.answer, query.references, query.question)
    return Ruling(0.0, problem) if problem else None


def choose_variant(judge: str, variant: str, rules: dict[str, Rule]) -> RuleJudge:
    """A judge for one variant of a metric.

    Raises:
        ConfigError: The variant is unknown.
    """
    if variant not in rules:
        known = ", ".join(sorted(rules))
        raise ConfigError(f"The judge {judge!r} has the variants {known}, got {variant!r}.")
    return RuleJudge(f"{judge}:{variant}", rules[variant])
