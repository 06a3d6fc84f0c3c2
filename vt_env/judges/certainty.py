"""Which rejections are certain: those that no reading of the texts could take back.

The rules reject what they do not understand. That is right where nobody else can be asked, and too
much where a model can. Here a rejection counts as certain only for what *is* understood: characters
that are refused, an answer that says nothing or several things at once, another option, the other
side, another number, date or time, and what is no plain answer (``plain``). The rest is open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vt_env.judges.base import Query, Verdict
from vt_env.judges.characters import is_blank, objection, usable
from vt_env.judges.dates import Date, parse_dates, parse_decade, parse_time
from vt_env.judges.options import Options, choose, read_options
from vt_env.judges.plain import not_plain
from vt_env.judges.polarity import names_both, side, side_taken
from vt_env.judges.quantity import Quantity, parse_quantity
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.sameness import clean, items
from vt_env.judges.sentences import states
from vt_env.judges.tables import (
    ALTERNATIVES,
    ARTICLES,
    COPULAS,
    FUNCTION_WORDS,
    SCALE_WORDS,
)

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_TRUTH = re.compile(r"\b(?:true|false)\b", re.I)
_THOUSANDS = re.compile(r"[0-9][.,][0-9]{3}(?![0-9])")
_DENIALS = frozenset("not no never nor neither except unlike without than cannot".split())
_EMPTY = FUNCTION_WORDS | frozenset(
    "solution solutions thought thoughts process step steps let let's us solve think problem "
    "final first okay ok sure correct explanation reasoning analysis response respuesta "
    "lösung réponse conclusion".split()
)
"""Words that announce an answer, and are none."""
_MAX_WORDS = 4
"""Words that an item of a bare list may have; longer pieces are clauses of a sentence."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict of rules, and whether anything could change it.

    Attributes:
        verdict: What the rules say.
        certain: Whether it stands whatever a model would say.
    """

    verdict: Verdict
    certain: bool


def certainly_wrong(query: Query) -> str:
    """Why an answer is wrong beyond doubt; empty where that is open.

    It must be wrong for every usable reference. Ask only about answers that no rule accepts.
    """
    references = usable(query.references)
    if problem := objection(query.answer, query.references, query.question):
        return problem
    if not references:
        return ""
    answer, asked = clean(query.answer), read_question(query.question)
    cleaned = [clean(reference) for reference in references]
    if reason := says_nothing(answer, cleaned) or _several(answer, cleaned, asked):
        return reason
    options = read_options(query.question, query.choices)
    if options is not None and query.answer_type not in ("", "mcq"):
        options = None
    reasons = [_differs(answer, reference, query.question, asked, options) for reference in cleaned]
    return reasons[0] if all(reasons) else not_plain(answer, cleaned, asked)


def several_answers(query: Query) -> str:
    """Why an answer is none, since it is empty talk or several at once; else empty."""
    answer, references = clean(query.answer), [clean(text) for text in usable(query.references)]
    asked = read_question(query.question)
    return says_nothing(answer, references) or _several(answer, references, asked)


def says_nothing(answer: str, references: Sequence[str]) -> str:
    """Why a cleaned answer says nothing: it only announces one, as ``Solution:`` does."""
    known = {word for text in references for word in _WORD.findall(text.lower())}
    words = [word.lower() for word in _WORD.findall(answer)]
    if answer.endswith(":") and not any(text.endswith(":") for text in references):
        return "announces an answer and gives none"
    if all(word in _EMPTY and word not in known for word in words):
        return "says nothing"
    return ""


def _several(answer: str, references: Sequence[str], asked: Asked) -> str:
    """Why a cleaned answer gives more answers than any reference has items."""
    most = max((len(items(text)) for text in references), default=1)
    given = [part for part in _alternatives(answer) if not is_blank(part)]
    if len(given) <= most or any(len(part.split()) > _MAX_WORDS for part in given):
        return ""
    if any(answer.lower() in text.lower() for text in references):
        return ""
    offers = ALTERNATIVES & set(_WORD.findall(answer.lower()))
    if len(given) > most + 1 or offers or "/" in answer:
        return "several answers at once"
    if most > 1 or all(_has_value(part) for part in given):
        return "more answers than there should be"
    return ""


def _alternatives(answer: str) -> list[str]:
    """The items of a list, also of one that is parted by *or* or by slashes between words."""
    parts = [part for item in items(answer) for part in re.split(r"\s+or\s+", item)]
    return [part for item in parts for part in re.split(r"(?<=[^\W\d])\s*/\s*(?=[^\W\d])", item)]


def _has_value(text: str) -> bool:
    return bool(parse_quantity(text) or parse_dates(text) or parse_time(text))


def _differs(
    answer: str, reference: str, question: str, asked: Asked, options: Options | None
) -> str:
    """Why an answer is surely not one reference."""
    wanted = choose(reference, options) if options is not None else None
    if options is not None and wanted is not None:
        return "not the right option alone"
    wanted_side = side(reference)
    if wanted_side is not None:
        taken = side_taken(answer, asked, bool(_TRUTH.search(f"{reference} {question}")))
        if taken is None:
            return "both sides" if names_both(answer) else ""
        return "the other side" if taken is not wanted_side else ""
    if _is_denied(reference, answer):
        return "denies the reference, or compares with it"
    return "another value" if states(answer, reference, asked, _other_value) else ""


def _is_denied(reference: str, answer: str) -> bool:
    """Whether every mention of a reference comes right after a negation or *than*."""
    words, wanted = (_WORD.findall(text.lower()) for text in (answer, reference))
    skipped = ARTICLES | COPULAS
    places = [i for i in range(len(words)) if wanted and words[i : i + len(wanted)] == wanted]
    before = [[word for word in words[:place] if word not in skipped][-1:] for place in places]
    return bool(places) and all(
        word and (word[0] in _DENIALS or word[0].endswith("n't")) for word in before
    )


def _other_value(answer: str, reference: str, asked: Asked) -> bool:
    """Whether two texts are values of one kind that cannot be the same one."""
    times = parse_time(answer), parse_time(reference)
    if times[0] and times[1]:
        return times[0][0] % 12 != times[1][0] % 12 or times[0][1:] != times[1][1:]
    dates = parse_dates(answer), parse_dates(reference)
    if dates[0] and dates[1]:
        return not any(_compatible(given, wanted) for given in dates[0] for wanted in dates[1])
    decades = parse_decade(answer), parse_decade(reference)
    if decades[0] and decades[1]:
        return not set(decades[0]) & set(decades[1])
    given, wanted = parse_quantity(answer), parse_quantity(reference)
    if not given or not wanted:
        return False
    shares = asked.percent or asked.proportion
    factors = {100} if shares or _is_percent(given) or _is_percent(wanted) else set[int]()
    if _THOUSANDS.search(f"{answer} {reference}"):
        factors.add(1000)
    if given.scaled != wanted.scaled:
        factors.update(SCALE_WORDS.values())
    return _other_number(given, wanted, factors)


def _is_percent(quantity: Quantity) -> bool:
    return any(unit.dimension == "percent" for unit in quantity.units)


def _compatible(given: Date, wanted: Date) -> bool:
    """Whether two dates, or parts of dates, contradict each other nowhere."""
    pairs = zip(_parts(given), _parts(wanted), strict=True)
    return all(left is None or right is None or left == right for left, right in pairs)


def _parts(date: Date) -> tuple[int | None, int | None, int | None]:
    return date.year, date.month, date.day


def _other_number(given: Quantity, wanted: Quantity, factors: set[int]) -> bool:
    """Whether two quantities are different however units and scales are read.

    A missing unit is no difference.

    Args:
        given: The answer.
        wanted: The reference.
        factors: By which the same number may be written larger: of a percentage, of a scale word
            that one side leaves out, of a point that may part thousands.
    """
    if given.units and wanted.units:
        return not given.bases & wanted.bases
    big, small = max(given.value, wanted.value), min(given.value, wanted.value)
    return big != small and not any(small * factor == big for factor in factors)
