"""Times of day in six languages, and durations that are written like one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from vt_env.judges.lexicon import pairs, pattern, table
from vt_env.judges.numerals import spoken_number
from vt_env.judges.quantity import Quantity
from vt_env.judges.units import parse_unit


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
        hour = _value(match["hour"], language)
        return None if hour is None else _on_clock(hour, 0, 0, half)
    return None


def _spoken(match: re.Match[str], half: str, language: str) -> Time | None:
    """An amount of minutes past or to an hour: *ten past four*, *halb acht*."""
    known = pairs(table("times")["minutes"]).get(match["amount"].lower().replace(" ", "_"))
    minutes = int(known) if known else _value(match["amount"], language)
    hour = _value(match["hour"], language)
    if hour is None or minutes is None:
        return None
    if (match["way"] or "").lower() in table("times")["back"].split():
        minutes = -minutes
    if minutes < 0:
        hour, minutes = hour - 1 or 12, minutes + 60
    return _on_clock(hour, minutes, 0, half)


def _value(text: str, language: str) -> int | None:
    """A whole number in digits or words; nothing may be left over."""
    if text.isdecimal():
        return int(text)
    number = spoken_number(text, language)
    if number is None or number.rest.strip() or number.value.denominator != 1 or number.ordinal:
        return None
    return int(number.value)


def _on_clock(hour: int, minute: int, second: int, half: str) -> Time | None:
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    if not (0 <= hour <= 24 and 0 <= minute < 60 and second < 60):
        return None
    return Time((hour % 24) * 3600 + minute * 60 + second, bool(half) or hour > 12 or hour == 0)
