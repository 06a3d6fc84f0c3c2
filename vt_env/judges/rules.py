"""Judges made of one pure rule: equal texts, equal values, the right option."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice

from vt_env.errors import ConfigError
from vt_env.judges.auto import AutoJudge
from vt_env.judges.base import Decision, Judge, Query, Verdict
from vt_env.judges.characters import fold, objection, usable
from vt_env.judges.matching import without_announcement
from vt_env.judges.options import choose, read_options
from vt_env.judges.quantity import parse_quantity

PASS = 0.5
"""A graded score from here on counts as correct."""
NUMBER = re.compile(
    r"(?<![\w.,])-?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
    r"(?![0-9]|[.,][0-9])"
)
_MOST_NUMBERS = 8
_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:)]?")


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
    """Scores every query by one rule; ``correct`` means a score of at least one half."""

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


def exact() -> RuleJudge:
    """Equality after folding case, typography, white space, edge punctuation and an article."""

    def plain(text: str) -> str:
        text = fold(text).casefold().strip(" .,;:!?\"'")
        return re.sub(r"^(?:the|an?) (?=\S)", "", text)

    def is_equal(query: Query) -> bool:
        answer, *references = map(plain, (query.answer, *query.references))
        return bool(answer) and answer in references

    return RuleJudge("exact", Rule(is_equal, "equal", refuses=True))


def numeric(tolerance: str | float = 0) -> RuleJudge:
    """Equality of values in any usual notation, unit included, within a relative tolerance.

    What a number is and how an answer may state it is left to the judge ``auto``, which is asked
    about the value that was given, if that is near the reference's.

    Raises:
        ConfigError: The tolerance is no number in [0, 1).
    """
    try:
        allowed = Fraction(str(tolerance))
    except (ValueError, ZeroDivisionError):
        allowed = Fraction(-1)
    if not 0 <= allowed < 1:
        raise ConfigError(f"The judge 'numeric' takes a tolerance in [0, 1), got {tolerance!r}.")

    def is_equal(query: Query) -> bool:
        references = tuple(ref for ref in query.references if parse_quantity(fold(ref)))
        if not references:
            raise Unscored("no reference is a number")
        return strictly(replace(query, references=references)) or any(
            near(query.question, query.answer, reference, allowed) for reference in references
        )

    name = f"numeric:{tolerance}" if allowed else "numeric"
    return RuleJudge(name, Rule(is_equal, "the reference's value", refuses=True))


def near(question: str, answer: str, reference: str, tolerance: Fraction | int) -> bool:
    """Whether an answer states the reference with a number that is within a relative tolerance.

    A power of ten between the two may be one of their units: 1,020 m is near 1 km.
    """
    found = list(NUMBER.finditer(reference))
    if not tolerance or len(found) != 1 or not (wanted := number_of(found[0])):
        return False
    start, end = found[0].span()
    for number in islice(NUMBER.finditer(answer), _MOST_NUMBERS):
        value = number_of(number)
        if value * wanted <= 0:
            continue
        scaled = value * Fraction(10) ** round(math.log10(wanted / value))
        if abs(scaled - wanted) <= abs(wanted) * tolerance:
            stated = reference[:start] + written(scaled) + reference[end:]
            if strictly(Query(question, (stated,), answer)):
                return True
    return False


def number_of(match: re.Match[str]) -> Fraction:
    """The value of a match of ``NUMBER``."""
    return Fraction(match[0].replace(",", ""))


def written(value: Fraction) -> str:
    """A value as a decimal number."""
    return format(Decimal(value.numerator) / Decimal(value.denominator), "f")


def mcq() -> RuleJudge:
    """Multiple choice by letter, by option text, or by both where they agree.

    Options come with the query or are read out of its question. Without any, only letters can be
    compared. A reference that is no option is unscored.
    """

    def is_chosen(query: Query) -> bool:
        options = read_options(query.question, query.choices)
        if options is not None:
            known = tuple(ref for ref in query.references if choose(ref, options) is not None)
            if not known:
                raise Unscored("no reference is one of the options")
            return strictly(replace(query, references=known, answer_type="mcq"))
        found = (_LETTER.fullmatch(ref.strip()) for ref in query.references)
        wanted = {match[1].upper() for match in found if match}
        if not wanted:
            raise Unscored("no options, and the reference is no letter")
        given = _LETTER.fullmatch(without_announcement(fold(query.answer).strip("*")))
        return given is not None and given[1].upper() in wanted

    return RuleJudge("mcq", Rule(is_chosen, "the right option alone", refuses=True))
