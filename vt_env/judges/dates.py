"""Dates and times of day: every way a text can be read, and when two texts surely agree."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass

from vt_env.judges.tables import CARDINALS, MONTHS, ORDINALS, WEEKDAYS


@dataclass(frozen=True, slots=True)
class Date:
    """A date or a part of one; ``None`` where nothing was said."""

    year: int | None = None
    month: int | None = None
    day: int | None = None


_MONTH_NUMBER = {
    **{name: index + 1 for index, name in enumerate(MONTHS)},
    **{name[:3]: index + 1 for index, name in enumerate(MONTHS)},
    "sept": 9,
}
_SPOKEN_DECADE = re.compile(
    r"(?:the )?(?:(eighteen|nineteen)[- ])?(twent|thirt|fort|fift|sixt|sevent|eight|ninet)ies"
)
_WEEKDAY = {name[:length]: i for i, name in enumerate(WEEKDAYS) for length in (3, 4, len(name))}
_NUMERIC = re.compile(r"([0-9]{1,4})([-/.])([0-9]{1,2})\2([0-9]{2,4})")
_YEAR_MONTH = re.compile(r"([0-9]{4})[-/.]([0-9]{2})")
_MONTH_YEAR = re.compile(r"([0-9]{1,2})[-/.]([0-9]{4})")
_DECADE = re.compile(r"(?:the )?'?((?:[0-9]{2})?[0-9])0'?s", re.I)
_WORD = re.compile(r"[a-z]+|'?[0-9]+|[^\s]")


def parse_dates(text: str) -> frozenset[Date]:
    """Every date a whole text can mean; empty when it is no date.

    ``03/04/2019`` means two. A bare year or number is no date. A weekday must fit the date.
    """
    text = text.strip().rstrip(".").lower()
    if len(text) > 40:
        return frozenset()
    if match := _NUMERIC.fullmatch(text):
        return _numeric(match[1], match[3], match[4])
    if match := _YEAR_MONTH.fullmatch(text):
        return _valid([Date(int(match[1]), int(match[2]))])
    if match := _MONTH_YEAR.fullmatch(text):
        return _valid([Date(int(match[2]), int(match[1]))])
    return _written(text)


def _numeric(first: str, second: str, third: str) -> frozenset[Date]:
    if len(first) == 4:
        return _valid([Date(int(first), int(second), int(third))]) if len(third) < 3 else _valid([])
    if len(first) > 2 or len(third) == 3:
        return frozenset()
    one, two = int(first), int(second)
    return _valid(Date(y, m, d) for y in _years(third) for d, m in ((one, two), (two, one)))


def _years(digits: str) -> tuple[int, ...]:
    digits = digits.lstrip("'")
    return (int(digits),) if len(digits) == 4 else (1900 + int(digits), 2000 + int(digits))


def _valid(dates: Iterable[Date]) -> frozenset[Date]:
    kept: set[Date] = set()
    for date in dates:
        try:
            datetime.date(date.year or 2000, date.month or 1, date.day or 1)
        except ValueError:
            continue
        kept.add(date)
    return frozenset(kept)


def _written(text: str) -> frozenset[Date]:
    """``4 March 2019``, ``March 4th, 2019``, ``Mar 4``, ``the 4th of July``, ``March 2019``."""
    words = [w for w in _WORD.findall(text) if w not in (",", ".", "the", "of", "in", "on")]
    weekday = None
    if words and words[0] in _WEEKDAY and len(words) > 1:
        weekday = _WEEKDAY[words.pop(0)]
    months = [_MONTH_NUMBER[w] for w in words if w in _MONTH_NUMBER]
    if len(months) != 1:
        return frozenset()
    rest = [w for w in words if w not in _MONTH_NUMBER and w not in ("st", "nd", "rd", "th")]
    days = [int(w) for w in rest if w.isdecimal() and len(w) <= 2]
    days += [ORDINALS[w] for w in rest if w in ORDINALS]
    years = [w for w in rest if w.lstrip("'").isdecimal() and (len(w) == 4 or w[0] == "'")]
    years = [w for w in years if len(w.lstrip("'")) in (2, 4)]
    if len(days) > 1 or len(years) > 1 or len(days) + len(years) != len(rest):
        return frozenset()
    day = days[0] if days else None
    found = _valid([Date(y, months[0], day) for y in (_years(years[0]) if years else (None,))])
    if weekday is None:
        return found
    return frozenset(date for date in found if _falls_on(date, weekday))


def _falls_on(date: Date, weekday: int) -> bool:
    if date.year is None or date.month is None or date.day is None:
        return date.day is not None
    return datetime.date(date.year, date.month, date.day).weekday() == weekday


def dates_agree(answer: frozenset[Date], reference: frozenset[Date], years: frozenset[int]) -> bool:
    """Whether two dates surely are the same.

    Where a day-month order is open on one side only, or on both, the texts do not surely agree
    (equal texts are accepted before this rule is asked).

    Args:
        answer: Readings of the answer.
        reference: Readings of the reference.
        years: Years that the question names; they may be left out or added.
    """
    if len({(d.month, d.day) for d in answer | reference}) != 1:
        return False
    for a in answer:
        for r in reference:
            if a.year == r.year or (None in (a.year, r.year) and {a.year, r.year} & years):
                return True
    return False


def parse_decade(text: str) -> tuple[int, ...]:
    """Decades a text can mean, by their first year: ``the 1990s``, ``'90s``."""
    text = text.strip().rstrip(".").lower()
    if spoken := _SPOKEN_DECADE.fullmatch(text):
        tens = CARDINALS[f"{spoken[2]}y"]
        return (1900 + tens, 2000 + tens) if not spoken[1] else (100 * CARDINALS[spoken[1]] + tens,)
    match = _DECADE.fullmatch(text)
    if not match:
        return ()
    tens = int(match[1]) * 10
    return (tens,) if len(match[1]) == 3 else (1900 + tens, 2000 + tens)


_CLOCK = re.compile(
    r"([0-9]{1,2})(?:\s?[:.h]\s?([0-9]{2}))?(?::([0-9]{2}))?\s?"
    r"(a\.?m\.?|p\.?m\.?|o'? ?clock|h|hours|hrs)?(?: sharp)?",
    re.I,
)
_DAYTIME = re.compile(r" in the (morning|afternoon|evening)$")
_SPOKEN = re.compile(
    r"(half|(?:a )?quarter|[a-z]+(?:[- ][a-z]+)?|[0-9]{1,2})(?: minutes?)? (past|to|after|before) "
    r"([a-z]+|[0-9]{1,2})(?: o'?clock)?\s?(a\.?m\.?|p\.?m\.?)?",
    re.I,
)


def parse_time(text: str) -> tuple[int, int, int] | None:
    """A time of day as (hour, minute, second) on the 24-hour clock, or ``None``.

    A time without am or pm is read as it stands on the 24-hour clock.
    """
    text = " ".join(text.strip().rstrip(".").lower().split())
    if len(text) > 40:
        return None
    text = _DAYTIME.sub(lambda m: " am" if m[1] == "morning" else " pm", text)
    if text.removeprefix("12 ") in ("noon", "midday"):
        return (12, 0, 0)
    if text.removeprefix("12 ") == "midnight":
        return (0, 0, 0)
    if match := _CLOCK.fullmatch(text):
        return _clock(match)
    if match := _SPOKEN.fullmatch(text):
        return _spoken(match)
    word, _, rest = text.partition(" ")
    if word in CARDINALS and rest.replace(" ", "") in (
        "o'clock",
        "oclock",
        "am",
        "pm",
        "a.m",
        "p.m",
    ):
        return _on_clock(CARDINALS[word], 0, 0, rest)
    return None


def _clock(match: re.Match[str]) -> tuple[int, int, int] | None:
    hour, minute, second, half = match.groups()
    if minute is None and half is None:
        return None
    if "." in match[0][:3] and (half or "")[:1] not in ("a", "p"):
        return None
    return _on_clock(int(hour), int(minute or 0), int(second or 0), half or "")


def _spoken(match: re.Match[str]) -> tuple[int, int, int] | None:
    amount, direction, hour_text, half = match.groups()
    parts = re.split(r"[- ]", amount.removeprefix("a "))
    minutes = {"half": 30, "quarter": 15}.get(parts[-1])
    if minutes is None:
        values = [int(p) if p.isdecimal() else CARDINALS.get(p, -1) for p in parts]
        minutes = sum(values) if -1 not in values else None
    hour = int(hour_text) if hour_text.isdecimal() else CARDINALS.get(hour_text)
    if minutes is None or hour is None or not 0 < minutes < 60:
        return None
    if direction in ("to", "before"):
        hour, minutes = hour - 1 or 12, 60 - minutes
    return _on_clock(hour, minutes, 0, half or "")


def _on_clock(hour: int, minute: int, second: int, half: str) -> tuple[int, int, int] | None:
    if half[:1] in ("a", "p") and half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    in_range = 0 <= hour <= 24 and minute < 60 and second < 60
    return (hour % 24, minute, second) if in_range else None
