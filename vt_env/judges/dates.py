"""Dates and times of day: every way a text can be read, and when two of them surely agree."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from vt_env.judges.lexicon import months, pairs, pattern, plain, table, weekdays, words
from vt_env.judges.numerals import ORDINALS, whole_number
from vt_env.judges.quantity import Quantity
from vt_env.judges.units import parse_unit


@dataclass(frozen=True, slots=True)
class Date:
    """A date or a part of one; ``None`` where nothing was said. Monday is 0."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None

    @property
    def parts(self) -> tuple[int | None, ...]:
        """Year, month and day."""
        return self.year, self.month, self.day


@dataclass(frozen=True, slots=True)
class Time:
    """Seconds since midnight, and whether the half of the day is certain (am, an hour over 12)."""

    seconds: int
    is_marked: bool

    def equals(self, other: Time) -> bool | None:
        """Whether both are one time; ``None`` where a missing am or pm leaves it open."""
        if self.seconds == other.seconds or (self.is_marked and other.is_marked):
            return self.seconds == other.seconds
        half = 12 * 3600
        return None if self.seconds % half == other.seconds % half else False


_CLOCK = re.compile(
    r"(?P<hour>[0-9]{1,2})"
    r"(?:\s?(?P<sign>[:.h点時时]|heures?|uhr|horas)\s?(?P<minute>[0-9]{1,2})(?:\s?(?:分|min))?)?"
    r"(?::(?P<second>[0-9]{2}))?\s?"
    r"(?P<end>o'? ?clock|oclock|h|hrs|heures?|uhr|点钟?|點|時|时)?(?: sharp)?",
    re.I,
)
_HOUR_WORD = re.compile(
    r"(?P<hour>[^\W\d_]+?) ?(?P<end>o'? ?clock|oclock|uhr|heures?|点钟?|點|時|时)?", re.I
)
_SPAN = re.compile(
    r"(?P<first>[0-9]{1,3})(?::| ?(?P<hours>h) ?)(?P<second>[0-9]{2})"
    r"(?::(?P<third>[0-9]{2}(?:\.[0-9]+)?)|\.(?P<part>[0-9]+)"
    r"| ?(?P<end>h|hrs|hours|std\.?|stunden))?"
)
_LONGEST = 40
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
        parts = (written, match["month"], match["day"])
        year, month, day = (p if p is None else whole_number(p, "zh") or -1 for p in parts)
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
        if None not in date.parts:
            if date.weekday not in (None, day.weekday()):
                continue
            date = replace(date, weekday=None)
        kept.add(date)
    return frozenset(kept)


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
    if len({(d.month, d.day) for d in answer | reference}) == 1:
        known = [{a.year, r.year} for a in answer for r in reference]
        if any(len(both) == 1 or (None in both and both & years) for both in known):
            return True
    possible = any(
        all(None in part or part[0] == part[1] for part in zip(a.parts, r.parts, strict=True))
        for a in answer
        for r in reference
    )
    return None if possible else False


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


@lru_cache(maxsize=4096)
def parse_time(text: str, language: str = "en", *, loose: bool = False) -> Time | None:
    """The time of day that a whole text writes, or ``None``; ``loose`` reads ``8 h``, too."""
    text = " ".join(text.strip().rstrip(".。").split()) if len(text) <= _LONGEST else ""
    text = match[1] if (match := pattern("times", "lead").fullmatch(text)) else text
    for name, hour in (("noon", 12), ("midnight", 0)):
        if text.lower() in table("times")[name].split(","):
            return Time(hour * 3600, is_marked=True)
    half = ""
    for name in ("a", "p"):
        if not half and (match := pattern("times", "marks", name).search(text)):
            half = name
            text = f"{text[: match.start()]} {text[match.end() :]}".strip().rstrip(", ")
    if not text:
        return None
    return _digital(text, half, loose and language) or _in_words(text, half, language, loose)


def parse_span(text: str, *, in_minutes: bool) -> Quantity | None:
    """A duration written like a time: ``1:02:30``, ``1:32.45``, and ``12:34``.

    With ``in_minutes``, two parts are minutes and seconds, instead of hours and minutes.
    """
    match = _SPAN.fullmatch(text.strip())
    if match is None or int(match["second"]) >= 60 or Fraction(match["third"] or 0) >= 60:
        return None
    parts = int(match["first"]) * 60 + int(match["second"])
    if match["third"] is None and (in_minutes or match["part"]):
        seconds = parts + Fraction(f"0.{match['part'] or 0}")
    else:
        seconds = parts * 60 + Fraction(match["third"] or 0)
    return Quantity(Fraction(seconds), parse_unit("s"))


def _digital(text: str, half: str, loose: str | bool) -> Time | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    minute, end, sign = match["minute"], (match["end"] or "").lower(), (match["sign"] or "").lower()
    if minute is None and not end and not half:
        return None
    if (minute and len(minute) == 1) or (loose == "en" and text.endswith("min")):
        return None
    is_hours = sign[:1] == "h" or (minute is None and end[:1] == "h")
    if not half and ((is_hours and not loose) or (sign == "." and not (loose or end == "uhr"))):
        return None
    return _on_clock(int(match["hour"]), int(minute or 0), int(match["second"] or 0), half)


def _in_words(text: str, half: str, language: str, loose: bool) -> Time | None:
    is_han = language in ("zh", "ja")
    for spoken in ("zh",) if is_han else dict.fromkeys(("en", "halb", language)):
        match = pattern("times", "spoken", spoken).fullmatch(text)
        if match is None:
            continue
        is_marked = match["way"] or spoken != "fr" or match["sign"]
        if is_marked and (time := _spoken(match, half, language)):
            return time
    match = _HOUR_WORD.fullmatch(text)
    if match and (match["end"] or half) and (loose or (match["end"] or "")[:1] != "h"):
        hour = whole_number(match["hour"], language)
        return None if hour is None else _on_clock(hour, 0, 0, half)
    return None


def _spoken(match: re.Match[str], half: str, language: str) -> Time | None:
    """An amount of minutes past or to an hour: *ten past four*, *halb acht*."""
    known = pairs(table("times")["minutes"]).get(match["amount"].lower().replace(" ", "_"))
    minutes = int(known) if known else whole_number(match["amount"], language)
    hour = whole_number(match["hour"], language)
    if hour is None or minutes is None:
        return None
    if (match["way"] or "").lower() in table("times")["back"].split():
        minutes = -minutes
    if minutes < 0:
        hour, minutes = hour - 1 or 12, minutes + 60
    return _on_clock(hour, minutes, 0, half)


def _on_clock(hour: int, minute: int, second: int, half: str) -> Time | None:
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    if not (0 <= hour <= 24 and 0 <= minute < 60 and second < 60):
        return None
    return Time((hour % 24) * 3600 + minute * 60 + second, bool(half) or hour > 12 or hour == 0)
