"""Texts made of several values: ranges, ratios, sizes, lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import cast

from vt_env.judges.dates import parse_dates, parse_time, parse_weekday
from vt_env.judges.expressions import name_of, value_of
from vt_env.judges.lexicon import pattern, words
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked

Same = Callable[[str, str, Asked], "bool | None"]

_NUMBERED = re.compile(r"\s*(?<![0-9])[0-9]{1,2}[.)] (?=\S)")
_DAY = re.compile(r"([0-9]{1,2})(?:\.|日|号|st|nd|rd|th)?")
_DAY_WITHIN = re.compile(r"(?<![0-9])[0-9]{1,2}(?![0-9年月])")
_RATIO = re.compile(
    r"(?P<left>[0-9][0-9.,]*|[一二三四五六七八九十]{1,3})\s?(?P<sign>[:/-]|to|zu|à|a|over|比|対)\s?"
    r"(?P<right>[0-9][0-9.,]*|[一二三四五六七八九十]{1,3})(?: mmHg)?"
)
_NUMBER = r"[0-9]{1,9}(?:[.,][0-9]{1,9})?"
_SIDE = rf"{_NUMBER}\s?(?:[^\W\d_]{{1,12}}?|[\"']{{1,2}})?"
_TIMES = r"\s?(?:x|×|\*|by|mal|por|par)\s?"
_SIZE = re.compile(rf"{_SIDE}{_TIMES}{_SIDE}(?:{_TIMES}{_SIDE})?")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
MOST_ITEMS = 50


def read_range(text: str, asked: Asked) -> tuple[str, str] | None:
    """The ends of a range of values, each with the unit of the last one."""
    match = pattern("patterns", "range").fullmatch(text)
    if match is None or parse_quantity(text, asked.language):
        return None
    if match["sign"].lower() in words("and") and not match["between"]:
        return None
    low, high = match["low"], match["high"]
    if not all(_is_scalar(end, asked.language) or _DAY.fullmatch(end) for end in (low, high)):
        return None
    for one, other in ((low, high), (high, low)):
        if (day := _DAY.fullmatch(one)) and parse_dates(other, asked.language):
            whole = _DAY_WITHIN.sub(day[1], other, count=1)
            return (whole, high) if one == low else (low, whole)
    unit = re.search(r"(?<=[0-9])\s*([^\d\s.,].*)$", high)
    is_clock = unit and parse_time(high) and "m" not in unit[0].lower()
    if unit and not is_clock and re.fullmatch(r"[0-9.,:]+", low):
        low += unit[0]
    return low, high


def _is_scalar(text: str, language: str) -> bool:
    if re.match(r"0[0-9]", text) and not parse_time(text):
        return False
    readers = (parse_quantity, parse_time, parse_dates)
    is_read = any(read(text, language) for read in readers)
    return is_read or parse_weekday(text, language) is not None


def read_ratio(text: str, asked: Asked) -> tuple[Fraction, Fraction] | None:
    """``4:7``, ``4 to 7``, ``4-7`` where a ratio or score is asked for; ``:`` always."""
    match = _RATIO.fullmatch(text)
    if match is None:
        return None
    if "ratio" not in asked.kinds and (match["sign"] not in ":比対zu" or parse_time(text)):
        return None
    if match["sign"] == "/" and not asked.word_set & words("quotients"):
        return None
    sides = (parse_quantity(match[name].replace(",", "")) for name in ("left", "right"))
    left, right = (side.value if side else Fraction(-1) for side in sides)
    return left, right


def read_size(text: str) -> list[str] | None:
    """The sides of ``30 x 20 x 10 cm`` in their order, each with its unit."""
    if not _SIZE.fullmatch(text):
        return None
    sides = re.split(_TIMES + "(?=[0-9])", text)
    last = re.sub(r"^[0-9.,]+\s?", "", sides[-1])
    return [side if re.search(r"[^\d.,\s]", side) else f"{side} {last}".strip() for side in sides]


@lru_cache(maxsize=256)
def items(text: str) -> tuple[str, ...]:
    """The items of a written list; a single item when it is none."""
    text = text.strip()
    if loaded := _literal_items(text):
        return loaded
    if text[:1] in _BRACKETS and text[-1:] == _BRACKETS[text[0]]:
        text = text[1:-1]
    if len(_NUMBERED.findall(text)) > 1 and _NUMBERED.match(text):
        text = _NUMBERED.sub("; ", text).lstrip("; ")
    found = [part.strip(" .。\"'") for part in pattern("patterns", "separator").split(text)]
    found = [part for part in found if part]
    if len(found) == 1 and " or " in text:
        parts = tuple(part.strip() for part in text.split(" or "))
        if len({name_of(part) for part in parts} | {""}) == 2:
            return parts
    if len(found) == 1 and text.count("±") == 1:
        return text.replace("±", "+"), text.replace("±", "-")
    return tuple(found)


def _literal_items(text: str) -> tuple[str, ...]:
    """The texts of a list in the notation of JSON or Python; empty when it is none."""
    if not (text[:1] == "[" and ("'" in text or '"' in text)):
        return ()
    try:
        loaded: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    return tuple(map(str, cast(list[object], loaded))) if isinstance(loaded, list) else ()


def same_list(answer: str, reference: str, asked: Asked, same: Same) -> bool | None:
    """Whether two lists have the same items, in order if that is asked for or in a tuple."""
    given, wanted = items(answer), items(reference)
    if not 2 <= len(wanted) <= MOST_ITEMS:
        return None
    if len(given) != len(wanted):
        is_item = any(same(item, w, asked) for item in given[:1] for w in wanted)
        return False if len(given) > 1 or is_item else None
    if len({name_of(item) for item in given + wanted} - {""}) > 1:
        point = (reference if name_of(given[0]) else answer)[0] == "("
        return _same_system(given, wanted, point, asked, same)
    given, wanted = ([_bare(item) for item in side] for side in (given, wanted))
    enclosed = {_enclosed(text) for text in (answer, reference) if not _literal_items(text)}
    in_order = asked.ordered
    if enclosed and ("" not in enclosed or enclosed - {"", "[]", "{}"}):
        if len(enclosed) > 1:
            return False
        in_order = enclosed != {"{}"}
    if in_order:
        return all(same(g, w, asked) for g, w in zip(given, wanted, strict=True))
    left = list(wanted)
    for item in given:
        match = next((w for w in left if same(item, w, asked)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _bare(item: str) -> str:
    """An item without its variable and its article."""
    item = value_of(item)
    first, _, rest = item.partition(" ")
    little = words("articles") | words("and") | words("sequence")
    return _bare(rest) if rest and first.lower() in little else item


def _enclosed(text: str) -> str:
    """The brackets around a list: ``()``, ``[)``; empty for none."""
    return (text[0] if text[0] in _BRACKETS else "") + (text[-1] if text[-1] in ")]}" else "")


def _same_system(
    given: Sequence[str], wanted: Sequence[str], point: bool, asked: Asked, same: Same
) -> bool:
    """Values of several variables: by their names, or as a point in the order of the alphabet."""
    names = [[name_of(item) for item in side] for side in (given, wanted)]
    if all(names[0]) and all(names[1]):
        given, wanted = sorted(given), sorted(wanted)
        if sorted(names[0]) != sorted(names[1]):
            return False
    else:
        named = names[0] if any(names[0]) else names[1]
        if not point or named != sorted(set(named)):
            return False
    pairs = zip(given, wanted, strict=True)
    return all(same(value_of(g), value_of(w), asked) for g, w in pairs)
