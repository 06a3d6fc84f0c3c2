"""A judge made of one pure rule, and the tables in which a metric's variants stand."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vt_env.errors import ConfigError
from vt_env.judges.auto import AutoJudge
from vt_env.judges.base import Decision, Judge, Query, Verdict
from vt_env.judges.characters import objection, usable

PASS = 0.5
"""A graded score from here on counts as correct."""


class Unscored(Exception):
    """A rule cannot judge a query; ``str(error)`` says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One variant of a metric.

    Attributes:
        score: A pure function of a query with usable references: whether the answer is right, or a
            grade in [0, 1]. It raises nothing but ``Unscored``.
        right: What a right answer is, for the reason of a verdict.
        refuses: Whether tags, hidden and look-alike characters are wrong before the rule is asked.
    """

    score: Callable[[Query], bool | float]
    right: str
    refuses: bool = False


class RuleJudge(Judge):
    """Scores every query by one rule; ``correct`` means a score of at least one half.

    Args:
        name: The name written into every verdict, with the variant (``relaxed:official``).
        rule: What decides.
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
        references = tuple(usable(query.references))
        if not references:
            return Verdict(None, self.name, "no usable reference")
        try:
            return self._ruled(replace(query, references=references))
        except Unscored as error:
            return Verdict(None, self.name, str(error))

    def _ruled(self, query: Query) -> Verdict:
        answer = unicodedata.normalize("NFC", query.answer)
        problem = self._rule.refuses and objection(answer, query.references, query.question)
        if problem:  # a query that cannot be judged is unscored whatever the answer
            query = replace(query, answer="")
        score = self._rule.score(query)
        if problem:
            return Verdict(False, self.name, problem)
        if isinstance(score, bool):
            return Verdict(score, self.name, f"{'' if score else 'not '}{self._rule.right}")
        return Verdict(score >= PASS, self.name, f"{self._rule.right} {score:.3f}", score)


@functools.cache
def _strict() -> AutoJudge:
    return AutoJudge()


def decide(query: Query) -> Decision:
    """What the judge ``auto`` says of an answer, and whether that is certain."""
    (decision,) = _strict().decide([query])
    return decision


def strictly(query: Query) -> bool:
    """Whether the judge ``auto`` accepts an answer."""
    return decide(query).verdict.correct is True


def choose_variant(judge: str, variant: str, **rules: Rule) -> RuleJudge:
    """A judge for one variant of a metric.

    Raises:
        ConfigError: The variant is unknown.
    """
    if variant not in rules:
        known = ", ".join(sorted(rules))
        raise ConfigError(f"The judge {judge!r} has the variants {known}, got {variant!r}.")
    return RuleJudge(f"{judge}:{variant}", rules[variant])
