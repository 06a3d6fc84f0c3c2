"""What a text can mean, and whether two texts surely mean the same.

A text has readings: each kind of value says whether and how it can be read. The question narrows
which kinds are meant. Two texts are the same where every reading that is left open agrees; they
differ where none could; else it stays open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from vt_env.judges.agreement import agree, surely_differ
from vt_env.judges.characters import fold, is_cjk
from vt_env.judges.codes import (
    read_address,
    read_phone,
    read_plate,
    read_version,
    topic_codes,
)
from vt_env.judges.compounds import read_range, read_ratio, read_size, same_list
from vt_env.judges.dates import (
    dates_agree,
    parse_dates,
    parse_decade,
    parse_span,
    parse_time,
    parse_weekday,
)
from vt_env.judges.expressions import is_mathematical, same_form, split_assignment
from vt_env.judges.lexicon import phrases, words
from vt_env.judges.numerals import roman
from vt_env.judges.phrases import same_phrase, stem
from vt_env.judges.quantity import Quantity, quantities
from vt_env.judges.questions import Asked
from vt_env.judges.units import parse_unit
from vt_env.maths.arithmetic import same_interval
from vt_env.maths.latex import delatex


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text: a kind of value, and what it says, comparable within the kind."""

    kind: str
    value: Any


_BULLET = re.compile(r"(?:^|\n)[ \t]*(?:[-*•]|[0-9]{1,2}\.)[ \t]+(?=\S)")
_PAGES = re.compile(r"\bpp?\. ?(?=[0-9])")
_NO = re.compile(r"\b(?:[Nn]o\.|[Nn]\.?°):? ?(?=[A-Z]*-?[0-9])")
_IDENTIFIER = re.compile(r"(?=\S*[0-9])\w+(?:_\w+)+")
_DOTTED = re.compile(r"v ?[0-9]|[0-9]+\.[0-9]+\.[0-9]+", re.I)
_INDEFINITE = re.compile(r"(?:eine?[nmrs]?|une?|una|uno) [^\W\d_]", re.I)
_PRIMED = re.compile(r"(?<![^\W_])[^\W\d_]('{1,3})(?![^\W\d_])")
_NUMBERED = re.compile(
    r"(?:第|No\.? ?|no\. ?|Nr\.? ?|[Nn][º°] ?|number )([0-9]{1,6})|([0-9]{4})\s?年"
)
_SURNAME_FIRST = re.compile(r"([A-Z][a-z'-]+|[A-Z]{2,}), ([A-Z][a-z'-]+)")
_PI = re.compile(r"(?<![a-zA-Z])pi(?= ?[-+*/^])|(?<=[0-9(*/^√])pi(?![a-zA-Z])")
_QUOTES = ('""', "''", "``", "**", "__", "「」", "『』", "《》")
_PHONE_DIGITS = 9
_LONGEST = 120
"""Characters that a value may have."""
_SLACK = 60
"""Characters that a form of a phrase may have more than half as many again as another form."""
_SHORT_NAME = 4
"""Letters up to which a month or weekday may be another word: *sun*, *may*, *mar*."""


@lru_cache(maxsize=2048)
def clean(text: str) -> str:
    """A text ready for the rules: folded, LaTeX made plain, emphasis and quotes stripped."""
    lines = [line for line in _BULLET.sub("\n", "\n" + text).split("\n") if line.strip()]
    text = "; ".join(lines) if len(lines) > 1 else text
    text = _PI.sub("π", fold(delatex(fold(text))).replace("**", "").strip())
    text = text.replace("<=", "≤").replace(">=", "≥").replace("!=", "≠")
    text = text.lstrip("〒☎ ")
    text = _PAGES.sub("pages ", _NO.sub("number ", text))
    while len(text) > 1 and text[0] + text[-1] in _QUOTES and text[1:2] != "'":
        text = text[1:-1].strip()
    return text


@lru_cache(maxsize=16_384)
def readings(text: str, asked: Asked) -> tuple[Reading, ...]:
    """The values that a whole cleaned text can be, as far as the question leaves them open."""
    text = text.strip()
    if len(text) > _LONGEST:
        return ()
    if code := _code(text.rstrip("."), asked):
        return (code,)
    return _narrowed(tuple(dict.fromkeys(_values(text, asked))), asked)


def _code(text: str, asked: Asked) -> Reading | None:
    """A text in which every character counts; such a reading is the only one."""
    if _IDENTIFIER.fullmatch(text):
        return Reading("code", text.lower())
    if code := read_address(text):
        return Reading("address", code)
    shortest = 3 if "plate" in asked.kinds else 7
    if "phone" in asked.kinds and (code := read_phone(text, shortest)):
        return Reading("phone", code)
    if "version" in asked.kinds and (code := read_version(text)):
        return Reading("version", code)
    phone, is_plate = read_phone(text), "plate" in asked.kinds and re.search(r"[^\W\d_]", text)
    kinds = {
        "version": read_version(text) if _DOTTED.match(text) else "",
        "phone": phone if len(phone.lstrip("+")) >= _PHONE_DIGITS else "",
        "plate": read_plate(text) if is_plate else "",
    }
    found = next((Reading(kind, code) for kind, code in kinds.items() if code), None)
    readers = (quantities, parse_dates, parse_time)
    is_other = found and (read_size(text) or any(read(text, asked.language) for read in readers))
    return None if is_other else found


def _values(text: str, asked: Asked) -> Iterator[Reading]:
    language, kinds = asked.language, asked.kinds
    by_name = len(text) > _SHORT_NAME or "date" in kinds
    if "unit" in kinds and (units := parse_unit(text)):
        yield Reading("unit", frozenset(units))
    for topic, code in topic_codes(text, asked):
        yield Reading(topic, code)
    if time := parse_time(text, language, loose="clock" in kinds):
        yield Reading("clock", time)
    if kinds & {"duration", "playtime"} and (
        seconds := parse_span(text, in_minutes="playtime" in kinds)
    ):
        yield Reading("quantity", seconds)
    if by_name and (dates := parse_dates(text, language)):
        yield Reading("date", dates)
    if by_name and (weekday := parse_weekday(text, language)) is not None:
        yield Reading("weekday", weekday)
    if decades := parse_decade(text):
        yield Reading("decade", frozenset(decades))
    if numbered := _NUMBERED.fullmatch(text):
        text = numbered[1] or numbered[2]
    is_article = "number" not in kinds and _INDEFINITE.match(text) is not None
    for quantity in quantities(text, language):
        if quantity.units or quantity.value != 1 or not is_article:
            yield Reading("quantity", quantity)
    if "number" in kinds and (value := roman(text)):
        yield Reading("quantity", Quantity(Fraction(value)))
    if ends := read_range(text, asked):
        yield Reading("range", ends)
    if sides := read_size(text):
        yield Reading("size", tuple(sides))


def _narrowed(found: tuple[Reading, ...], asked: Asked) -> tuple[Reading, ...]:
    """Readings without those that the question rules out: the first kinds that are there."""
    kinds = {reading.kind for reading in found}
    topics = {kind for kind in kinds if kind.startswith("topic")}
    clock = {"clock"} if "clock" in asked.kinds and "duration" not in asked.kinds else set[str]()
    for kept in ({"unit"}, topics, clock, {"decade"}, {"date", "weekday"}):
        if kinds & kept:
            return tuple(reading for reading in found if reading.kind in kept)
    if "clock" not in asked.kinds and kinds & {"range", "quantity"}:
        found = tuple(reading for reading in found if reading.kind != "clock")
    return _scale_or_unit(found, asked)


def _scale_or_unit(found: tuple[Reading, ...], asked: Asked) -> tuple[Reading, ...]:
    """Of ``300 K`` the reading that the question asks for, if it asks for one of them."""
    several = [r for r in found if r.kind == "quantity"]
    measured = [r for r in several if r.value.units and "concentration" not in r.value.dimensions]
    scaled = [r for r in several if r not in measured] if len(several) > 1 else []
    if not scaled:
        return found
    fitting = [r for r in measured if any(asked.measures_unit(u) for u in r.value.units)]
    dropped: list[Reading] = []
    if fitting and asked.measures:
        dropped = scaled
    elif asked.counted or not measured:
        dropped = [r for r in several if r.value.units]
    return tuple(r for r in found if r not in dropped)


def same(answer: str, reference: str, asked: Asked) -> bool | None:
    """Whether an answer and a reference, both cleaned, agree; ``None`` where that is open."""
    if answer == reference:
        return True
    verdict = same_value(answer, reference, asked)
    if verdict is not None:
        return verdict
    if readings(answer, asked) and readings(reference, asked):
        return None
    if is_mathematical(answer) or is_mathematical(reference):
        if same_form(answer, reference):
            return True
    elif _same_text(answer, reference, asked):
        return True
    values = split_assignment(answer, reference, asked)
    if values != (answer, reference) and same(*values, asked):
        return True
    return same_list(answer, reference, asked, same)


def _same_text(answer: str, reference: str, asked: Asked) -> bool:
    for reading in readings(reference, asked):
        is_bare = reading.kind == "quantity" and not reading.value.noun
        if is_bare or reading.kind == "topic:element":
            return False
    if answer.isupper() and answer.lower() in asked.word_set:
        return False
    if len(reference) <= 2 and asked.word_set & words("symbols"):
        return False
    if len(answer) > 1.5 * len(reference) + _SLACK:
        return False
    if _PRIMED.findall(answer) != _PRIMED.findall(reference):
        return False
    person = _is_person(asked)
    if reference and is_cjk(reference[-1]):
        answer, reference = _without_title(answer, reference), _without_title(reference, answer)
    answer, reference = _forename_first(answer, reference), _forename_first(reference, answer)
    return same_phrase(answer, reference, plurals=not asked.names, person=person)


def _is_person(asked: Asked) -> bool:
    """Whether a question asks for a person's name."""
    if asked.word_set & words("naming"):
        return any(stem(word) in asked.stems for word in words("professions"))
    is_cued = any(cue in asked.text for cue in phrases("person"))
    return is_cued or bool(asked.word_set & words("person"))


def _without_title(name: str, other: str) -> str:
    """A Chinese or Japanese name without spaces, and without a title that the other one lacks."""
    name, other = name.replace(" ", ""), other.strip(" 。.")
    ends = [title for title in phrases("titles") if name.endswith(title) and len(name) > 3]
    if ends and not any(other.endswith(title) for title in phrases("titles")):
        return name.removesuffix(ends[0])
    return name


def _forename_first(name: str, other: str) -> str:
    """A name written *Surname, Forename* where the other one has no comma."""
    match = _SURNAME_FIRST.fullmatch(name)
    return f"{match[2]} {match[1]}" if match and "," not in other else name


def same_value(answer: str, reference: str, asked: Asked) -> bool | None:
    """Whether two values agree; ``None`` where a text is no value, or readings disagree."""
    ratios = read_ratio(answer, asked), read_ratio(reference, asked)
    if None not in ratios:
        return ratios[0] == ratios[1]
    is_set = bool(asked.word_set & words("sets"))
    if (interval := same_interval(answer, reference, is_set)) is not None:
        return interval
    given, wanted = readings(answer, asked), readings(reference, asked)
    if not given or not wanted:
        return None
    verdicts = [[_equal(g, w, asked) for w in wanted] for g in given]
    if all(True in row for row in (*verdicts, *zip(*verdicts, strict=True))):
        return True
    nouns = any(r.kind == "quantity" and r.value.noun for r in (*given, *wanted))
    if nouns and same_phrase(answer, reference):
        return True
    return False if all(verdict is False for row in verdicts for verdict in row) else None


def _equal(given: Reading, wanted: Reading, asked: Asked) -> bool | None:
    """Whether two readings agree; ``None`` where that is open."""
    if given.kind != wanted.kind:
        return False
    left, right = given.value, wanted.value
    match given.kind:
        case "quantity":
            if agree(left, right, asked):
                return True
            return False if surely_differ(left, right, asked) else None
        case "clock":
            return left.equals(right)
        case "date":
            years = frozenset(int(s) for s in asked.stems if len(s) == 4 and s.isdecimal())
            return dates_agree(left, right, years)
        case "decade" | "unit":
            return bool(left & right)
        case "range" | "size":
            pairs = list(zip(left, right, strict=False))
            return len(left) == len(right) and all(same(g, w, asked) for g, w in pairs)
        case _:
            return left == right


def is_value(text: str, asked: Asked) -> bool:
    """Whether a text is a value of some kind."""
    return bool(readings(text, asked)) or read_ratio(text, asked) is not None
