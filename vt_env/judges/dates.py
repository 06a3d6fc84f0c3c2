"""Dates: every way a text can be read, and when two texts surely agree."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from vt_env.judges.lexicon import months, pattern, plain, weekdays, words
from vt_env.judges.numerals import ORDINALS, spoken_number


@dataclass(frozen=True, slots=True)
class Date:
    """A date or a part of one; ``None`` where nothing was said. Monday is 0."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None


_TENS: tuple[str, ...] = ("twent", "thirt", "fort", "fift", "sixt", "sevent", "eight", "ninet")
_NUMERIC = re.compile(r"(?:le |am )?([0-9]{1,4})([-/.])\s?([0-9]{1,2})\2\s?([0-9]{1,4})")
_YEAR_MONTH = re.compile(
    r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{2})|(?P<first>[0-9]{1,2})[-/.](?P<last>[0-9]{4})"
)
_HAN = re.compile(
    r"(?:(?P<year>[0-9]{4}|[〇零一二三四五六七八九]{4}|(?P<era>令和|平成|昭和)[0-9元]{1,2})年の?)?(?P<month>[^年月日号]{1,3})月(?:份)?"
    r"(?:(?P<day>[^年月日号]{1,3})[日号])?(?:\s?[(（]?(?P<weekday>[周星期礼拜一-日月火水木金土曜]{1,3})[)）]?)?"
)
_WORD = re.compile(r"[^\W\d_]+|'?[0-9]+|[^\s]")
_FILLERS = frozenset(", . the of in on le de del el am den der the año st nd rd th er".split())


@lru_cache(maxsize=4096)
def parse_dates(text: str, language: str = "en") -> frozenset[Date]:
    """Every date a whole text can mean; empty when it is no date.

    ``03/04/2019`` means two in English and one in languages that put the day first. A bare year
    or number is no date. A weekday must fit the date.
    """
    text = text.strip().rstrip(".。").lower()
    if len(text) > 48:
        return frozenset()
    if match := _NUMERIC.fullmatch(text):
        return _numeric(match[1], match[3], match[4], language)
    if match := _YEAR_MONTH.fullmatch(text):
        year, month = match["year"] or match["last"], match["month"] or match["first"]
        return _valid([Date(int(year), int(month))])
    if match := _HAN.fullmatch(text):
        written = match["year"] if not match["era"] else _in_era(match["year"])
        year, month, day = map(_whole, (written, match["month"], match["day"]))
        weekday = weekdays("zh").get(match["weekday"] or "")
        return _valid([Date(year, month, day, weekday)])
    return _written(text, language)


def _in_era(year: str) -> str:
    """The year of a Japanese era, as one of the common era: ``令和5``."""
    first = {"令和": 2019, "平成": 1989, "昭和": 1926}[year[:2]]
    return str(first - 1 + int(year[2:].replace("元", "1")))


def _numeric(first: str, second: str, third: str, language: str) -> frozenset[Date]:
    if len(first) == 4 and len(third) < 3:
        return _valid([Date(int(first), int(second), int(third))])
    if len(first) > 2 or len(third) not in (2, 4):
        return frozenset()
    one, two = int(first), int(second)
    orders = ((one, two),) if language in ("de", "fr", "es") else ((one, two), (two, one))
    return _valid(Date(y, m, d) for y in _years(third) for d, m in orders)


def _years(digits: str) -> tuple[int, ...]:
    digits = digits.lstrip("'")
    return (int(digits),) if len(digits) == 4 else (1900 + int(digits), 2000 + int(digits))


def _valid(dates: Iterable[Date]) -> frozenset[Date]:
    """The dates that exist; of a whole date the weekday is dropped after it was checked."""
    kept: set[Date] = set()
    for date in dates:
        try:
            day = datetime.date(date.year or 2000, date.month or 1, date.day or 1)
        except ValueError:
            continue
        if None not in (date.year, date.month, date.day):
            if date.weekday not in (None, day.weekday()):
                continue
            date = replace(date, weekday=None)
        kept.add(date)
    return frozenset(kept)


def _whole(text: str | None) -> int | None:
    """A whole number in digits or numerals; -1 where it is none."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    number = spoken_number(text, "zh")
    return int(number.value) if number and not number.rest else -1


def _written(text: str, language: str) -> frozenset[Date]:
    """``4 March 2019``, ``March 4th, 2019``, ``Mar 4``, ``the 4th of July``, ``March 2019``."""
    names, days_of_week = months(language), weekdays(language)
    found = [plain(word) or word for word in _WORD.findall(text)]
    found = [word for word in found if word not in _FILLERS]
    weekday = None
    if len(found) > 1 and found[0] in days_of_week:
        weekday = days_of_week[found.pop(0)]
    named = [names[word] for word in found if word in names]
    rest = [word for word in found if word not in names]
    if len(named) != 1 or len(rest) > 2:
        return frozenset()
    years = [w for w in rest if re.fullmatch(r"[0-9]{4}|'[0-9]{2}", w)]
    days = [int(w) for w in rest if w.isdecimal() and len(w) <= 2]
    days += [ORDINALS[word] for word in rest if word in ORDINALS]
    if len(days) > 1 or len(years) > 1 or len(days) + len(years) != len(rest):
        return frozenset()
    day = days[0] if days else None
    possible = _years(years[0]) if years else (None,)
    return _valid([Date(year, named[0], day, weekday) for year in possible])


def parse_weekday(text: str, language: str = "en") -> int | None:
    """The weekday that a whole text names (``Monday``, ``montags``, ``los lunes``), or ``None``."""
    word = text.strip().rstrip(".。").casefold() if len(text) <= 48 else ""
    first, _, rest = word.partition(" ")
    word = rest if rest and first in words("articles") | words("prepositions") | {"every"} else word
    names, forms = weekdays(language), (word, plain(word), plain(word).removesuffix("s"))
    return next((names[form] for form in forms if form in names), None)


def dates_agree(
    answer: frozenset[Date], reference: frozenset[Date], years: frozenset[int]
) -> bool | None:
    """Whether two dates are the same; ``None`` where the order of day and month leaves it open.

    The years that the question names may be left out or added.
    """
    agreeing = any(_equal(a, r, years) for a in answer for r in reference)
    if agreeing and len({(d.month, d.day) for d in answer | reference}) == 1:
        return True
    possible = any(_compatible(a, r) for a in answer for r in reference)
    return None if possible else False


def _equal(answer: Date, reference: Date, years: frozenset[int]) -> bool:
    if (answer.month, answer.day) != (reference.month, reference.day):
        return False
    known = {answer.year, reference.year}
    return len(known) == 1 or (None in known and bool(known & years))


def _compatible(one: Date, other: Date) -> bool:
    """Whether two dates, or parts of dates, contradict each other nowhere."""
    pairs = ((one.year, other.year), (one.month, other.month), (one.day, other.day))
    return all(None in pair or pair[0] == pair[1] for pair in pairs)


def parse_decade(text: str) -> tuple[int, ...]:
    """Decades a text can mean, by their first year: ``the 1990s``, ``'90s``."""
    match = pattern("patterns", "decade").fullmatch(text.strip().rstrip(".").lower())
    if not match:
        return ()
    if match["word"]:
        tens = 10 * (_TENS.index(match["word"]) + 2)
        century = {"eighteen": (1800,), "nineteen": (1900,)}.get(match["century"], (1900, 2000))
        return tuple(first + tens for first in century)
    tens = int(match["tens"]) * 10
    return (tens,) if len(match["tens"]) == 3 else (1900 + tens, 2000 + tens)
