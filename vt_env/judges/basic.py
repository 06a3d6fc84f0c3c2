"""Rules for one kind of answer each: exact texts, numbers, and multiple choice."""

from __future__ import annotations

import re
from fractions import Fraction

from vt_env.errors import ConfigError
from vt_env.judges.base import Query
from vt_env.judges.benchmarks import within
from vt_env.judges.characters import fold
from vt_env.judges.options import choose, chooses, read_options
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.rule import RuleJudge, Ruling, refused
from vt_env.judges.sameness import clean
from vt_env.judges.sentences import states

_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:)]?")
_LABELLED = re.compile(r"(?:answer|option|choice)\s*(?:is)?\s*:?\s*", re.I)


def exact() -> RuleJudge:
    """Equality after folding case, typography, white space, edge punctuation and an article."""
    return RuleJudge("exact", _exact)


def _plain(text: str) -> str:
    text = fold(text).casefold().strip(" .,;:!?\"'")
    return re.sub(r"^(?:the|an?) (?=\S)", "", text)


def _exact(query: Query) -> Ruling:
    if bad := refused(query):
        return bad
    answer = _plain(query.answer)
    equal = bool(answer) and answer in {_plain(reference) for reference in query.references}
    return Ruling.of(equal, "equal", "not equal")


def numeric(tolerance: str | float = 0) -> RuleJudge:
    """Equality of values in any usual notation, unit included.

    Args:
        tolerance: Relative tolerance, from 0 (exact, the default) to below 1.

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
    return RuleJudge(name, lambda query: _numeric(query, allowed))


def _numeric(query: Query, tolerance: Fraction) -> Ruling:
    references = [clean(reference) for reference in query.references]
    references = [reference for reference in references if parse_quantity(reference)]
    if not references:
        return Ruling(None, "no reference is a number")
    if bad := refused(query):
        return bad

    def close(answer: str, reference: str, asked: Asked) -> bool:
        given, wanted = parse_quantity(answer), parse_quantity(reference)
        return bool(given and wanted) and within(given, wanted, tolerance, asked)  # type: ignore[arg-type]

    answer, asked = clean(query.answer), read_question(query.question)
    equal = any(states(answer, reference, asked, close) for reference in references)
    return Ruling.of(equal, "the same value", "another value or none")


def mcq() -> RuleJudge:
    """Multiple choice by letter, by option text, or by both where they agree.

    Options come with the query or are read out of its question. Without any, only letters can be
    compared. A reference that is no option is unscored.
    """
    return RuleJudge("mcq", _mcq)


def _mcq(query: Query) -> Ruling:
    options = read_options(query.question, query.choices)
    if options is None:
        return _letters(query)
    wanted = {choose(reference, options) for reference in query.references} - {None}
    if not wanted:
        return Ruling(None, "no reference is one of the options")
    if bad := refused(query):
        return bad
    answer = clean(query.answer)
    right = any(chooses(answer, index, options) for index in wanted if index is not None)
    return Ruling.of(right, "the right option", "another option, several, or none")


def _letters(query: Query) -> Ruling:
    wanted = {m[1].upper() for ref in query.references if (m := _LETTER.fullmatch(ref.strip()))}
    if not wanted:
        return Ruling(None, "no options, and the reference is no letter")
    if bad := refused(query):
        return bad
    given = _LETTER.fullmatch(_LABELLED.sub("", clean(query.answer), count=1))
    right = given is not None and given[1].upper() in wanted
    return Ruling.of(right, "the right letter", "another letter or none")
