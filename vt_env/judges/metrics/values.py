"""Metrics of numbers: equal, or within a tolerance.

What a number is and how an answer may state it is left to the judge ``auto``. A tolerance is had
by asking it about the value that was given, if that is near the reference's.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import islice

from vt_env.errors import ConfigError
from vt_env.judges.base import Query
from vt_env.judges.characters import fold
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, choose_variant, strictly
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import read_question

TOLERANCE = Fraction(1, 20)
"""Relative tolerance of ChartQA's relaxed accuracy."""
_NUMBER = re.compile(
    r"(?<![\w.,])-?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?|\.[0-9]{1,30})"
    r"(?![0-9]|[.,][0-9])"
)
_PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b)", re.I)
_ASKS_YEAR = re.compile(
    r"^\W*(?:since )?(?:when|wann|quand|cuándo)\b|\b(?:years?|jahr|année|año)\b(?! [0-9])|年", re.I
)
_MOST_NUMBERS = 8


def numeric(tolerance: str | float = 0) -> RuleJudge:
    """Equality of values in any usual notation, unit included, within a relative tolerance.

    Raises:
        ConfigError: The tolerance is no number in [0, 1).
    """
    try:
        allowed = Fraction(str(tolerance))
    except (ValueError, ZeroDivisionError):
        allowed = Fraction(-1)
    if not 0 <= allowed < 1:
        raise ConfigError(f"The judge 'numeric' takes a tolerance in [0, 1), got {tolerance!r}.")
    name = f"numeric:{tolerance}" if allowed else "numeric"
    rule = partial(_numeric, tolerance=allowed)
    return RuleJudge(name, Rule(rule, "the reference's value", refuses=True))


def _numeric(query: Query, tolerance: Fraction) -> bool:
    references = tuple(ref for ref in query.references if parse_quantity(fold(ref)))
    if not references:
        raise Unscored("no reference is a number")
    return strictly(replace(query, references=references)) or any(
        near(query.question, query.answer, reference, tolerance) for reference in references
    )


def relaxed(variant: str = "fixed") -> RuleJudge:
    """ChartQA's relaxed accuracy: numbers within 5 % of the reference, other answers equal.

    Source: Masry et al. 2022, arXiv 2203.10244, Sec. 5; the tolerance is Methani et al. 2020's.

    ``official`` reads a number only from what Python's ``float`` takes, divides by 100 where it
    ends with a percent sign, and compares other texts in lower case. ``fixed`` differs: where a
    year is asked for there is no tolerance (2010 is not 2019), ``47%`` equals 47, and 0.47 where
    that is the reference; units must agree; numbers are read in any usual notation and in a
    sentence, and other texts as the judge ``auto`` does.
    """
    official = Rule(_relaxed, "within 5 % or equal")
    fixed = Rule(_relaxed_fixed, "within 5 % or equal", refuses=True)
    return choose_variant("relaxed", variant, official=official, fixed=fixed)


def _bare_float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def _relaxed(query: Query) -> bool:
    given = _bare_float(query.answer)

    def accepts(reference: str) -> bool:
        wanted = _bare_float(reference)
        if given is not None and wanted:
            return abs(given - wanted) / abs(wanted) <= float(TOLERANCE)
        return query.answer.lower() == reference.lower()

    return any(map(accepts, query.references))


def _relaxed_fixed(query: Query) -> bool:
    def accepts(reference: str) -> bool:
        answer = _with_percent_of(reference, query.answer, query.question)
        tolerance = 0 if _is_asked_year(reference, query.question) else TOLERANCE
        is_stated = strictly(replace(query, answer=answer, references=(reference,)))
        return is_stated or near(query.question, answer, reference, tolerance)

    return any(map(accepts, query.references))


def _is_asked_year(reference: str, question: str) -> bool:
    """Whether a reference is written like a year (1000 to 2199), and the question asks for one."""
    is_year = re.fullmatch(r"1[0-9]{3}|2[01][0-9]{2}", reference.strip()) is not None
    return is_year and bool(_ASKS_YEAR.search(question)) and not read_question(question).counted


def _with_percent_of(reference: str, answer: str, question: str) -> str:
    """An answer with one number, with or without a percent sign as the reference has it."""
    numbers, goals = list(_NUMBER.finditer(answer)), list(_NUMBER.finditer(reference))
    given, wanted = _PERCENT.search(answer), _PERCENT.search(reference)
    if len(numbers) != 1 or len(goals) != 1 or bool(given) is bool(wanted):
        return answer
    number, goal = numbers[0], goals[0]
    value, target = _value(number), _value(goal)
    if given:
        is_share = "." in goal[0] and abs(target) <= 1 and not read_question(question).percent
        value = value / 100 if is_share else value
        return answer[: number.start()] + _written(value) + answer[given.end() :]
    is_share = "." in number[0] and abs(value) <= 1 < abs(target)
    value = value * 100 if is_share else value
    return f"{answer[: number.start()]}{_written(value)}%{answer[number.end() :]}"


def near(question: str, answer: str, reference: str, tolerance: Fraction | int) -> bool:
    """Whether an answer states the reference with a number that is within a relative tolerance.

    A power of ten between the two may be one of their units: 1,020 m is near 1 km.
    """
    found = list(_NUMBER.finditer(reference))
    if not tolerance or len(found) != 1 or not (wanted := _value(found[0])):
        return False
    start, end = found[0].span()
    for number in islice(_NUMBER.finditer(answer), _MOST_NUMBERS):
        value = _value(number)
        if value * wanted <= 0:
            continue
        scaled = value * Fraction(10) ** round(math.log10(wanted / value))
        if abs(scaled - wanted) <= abs(wanted) * tolerance:
            stated = reference[:start] + _written(scaled) + reference[end:]
            if strictly(Query(question, (stated,), answer)):
                return True
    return False


def _value(number: re.Match[str]) -> Fraction:
    return Fraction(number[0].replace(",", ""))


def _written(value: Fraction) -> str:
    return format(Decimal(value.numerator) / Decimal(value.denominator), "f")
