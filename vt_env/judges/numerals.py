"""Numbers: digits with separators, number words of six languages, Roman numerals.

Values are fractions, so equality is exact: nothing is rounded and no tolerance is implied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from vt_env.judges.characters import is_cjk, without_accents
from vt_env.judges.lexicon import pairs, pattern, table


@dataclass(frozen=True, slots=True)
class Number:
    """A number at the beginning of a text, and the rest of the text."""

    value: Fraction
    rest: str
    ordinal: bool = False  # a rank: ``third``, ``3rd``
    scaled: bool = False  # with a scale word: ``five million``


def _values(name: str) -> dict[str, int]:
    return {word: int(value) for word, value in pairs(table("numbers")["words"][name]).items()}


CARDINALS, ORDINALS, SCALES = map(_values, ("cardinals", "ordinals", "scales"))
_SPOKEN_WORD = re.compile(r"[^\W\d_\u3040-\u9fff]+")
_SPOKEN = re.compile(rf"{_SPOKEN_WORD.pattern}(?:[- ]{_SPOKEN_WORD.pattern}){{0,11}}")
_CONVERTED = re.compile(
    r"(?P<value>[0-9]+(?:[.,][0-9]+)?)(?P<rank>st|nd|rd|th|\.|er|ère|ème|[ºª])?"
)
_HAN, _HAN_SMALL, _HAN_LARGE = map(_values, ("han", "han_small", "han_large"))
HAN_DIGITS = frozenset((*_HAN, *_HAN_SMALL, *_HAN_LARGE))
_HAN_NUMBER = re.compile(
    rf"(?:[0-9][0-9,.]*)?[{''.join(HAN_DIGITS)}](?:[0-9,.]|[{''.join(HAN_DIGITS)}])*"
)
_HAN_PERCENT = re.compile(r"(?:百分之|百分の)(?=.)")
_HAN_POINT = re.compile(rf"[点點]([{''.join(_HAN)}]+)")
_HAN_FRACTION = re.compile(r"(?P<below>[^分]{1,8})分[之の](?=.)")
_ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_MOST_DIGITS = 60


@lru_cache(maxsize=4096)
def plain_number(digits: str, language: str = "en") -> Fraction | None:
    """The value of digits with separators: ``1,234.5``, ``1.234,5``, ``1 234``, ``2,5``, ``.5``.

    A lone separator before three digits parts thousands where the language has it so: a comma in
    English, a dot in German and Spanish, neither in French.
    """
    digits = digits.replace(" ", "").replace("'", "")
    dots, commas = digits.count("."), digits.count(",")
    decimal = "," if digits.rfind(",") > digits.rfind(".") else "."
    if not (dots and commas):
        groups = {"en": ",", "zh": ",", "ja": ",", "de": ".", "es": "."}.get(language, "")
        grouped = _is_grouped(digits, decimal) and digits[0] != "0"
        if grouped and (decimal == groups or dots + commas > 1):
            decimal = ""
    whole, point, part = digits.rpartition(decimal) if decimal else (digits, "", "")
    if not point:
        whole, part = digits, ""
    separators = set(whole) & set(".,")
    if decimal in separators or len(separators) > 1:
        return None
    if separators and not _is_grouped(whole, separators.pop()):
        return None
    whole = whole.replace(".", "").replace(",", "") or "0"
    return Fraction(f"{whole}.{part or 0}") if len(digits) <= _MOST_DIGITS else None


def _is_grouped(digits: str, separator: str) -> bool:
    first, *groups = digits.split(separator)
    if not 1 <= len(first) <= 3 or not groups or len(groups[-1]) != 3:
        return False
    return all(len(g) == 3 for g in groups) or all(len(g) == 2 for g in groups[:-1])


def roman(text: str) -> int:
    """The value of a Roman numeral of two letters or more, else 0."""
    if len(text) < 2 or not _ROMAN.fullmatch(text):
        return 0
    values = [_ROMAN_VALUES[char] for char in text]
    ahead = [*values[1:], 0]
    return sum(-v if v < n else v for v, n in zip(values, ahead, strict=True))


@lru_cache(maxsize=8192)
def spoken_number(text: str, language: str = "en") -> Number | None:
    """A number in words at the beginning of a text."""
    if text[:1] and (is_cjk(text[0]) or text[0].isdecimal()):
        return _han(text)
    match = _SPOKEN.match(text)
    if match is None:
        return None
    ends = [word.end() for word in _SPOKEN_WORD.finditer(match[0])]
    for spoken in dict.fromkeys((language, "en")):
        if found := _in_words(text, ends, spoken if spoken in table("numbers") else "en"):
            return found
    return None


@cache
def _phrases(language: str, name: str) -> dict[str, Fraction]:
    listed = pairs(table("numbers").get(language, {}).get(name, ""))
    return {key.replace("_", " "): Fraction(value) for key, value in listed.items()}


def halves(language: str) -> dict[str, Fraction]:
    """What adds a part of one after a number or its unit: *and a half*."""
    return _phrases("en", "more") | _phrases(language, "more")


def whole_number(text: str, language: str) -> int | None:
    """A whole number in digits or words, and nothing else."""
    if text.isdecimal():
        return int(text)
    number = spoken_number(text, language)
    if number is None or number.rest.strip() or number.value.denominator != 1 or number.ordinal:
        return None
    return int(number.value)


def _in_words(text: str, ends: list[int], language: str) -> Number | None:
    """The longest run of words that is one number, with the fraction after it."""
    whole, parts, more = (_phrases(language, name) for name in ("whole", "parts", "more"))
    for end in reversed(ends):
        said, rest = text[:end].lower().replace("-", " "), text[end:]
        value, rank = (whole[said], False) if said in whole else _converted(said, language)
        if value is None or (said == "no" and not rest.strip()):
            continue
        part = _SPOKEN_WORD.match(rest[1:]) if rest[:1] in (" ", "-") and not rank else None
        if part and (below := parts.get(part[0].lower())) and value.denominator == 1:
            value, rest = value / below, rest[1 + part.end() :]
        for phrase, added in more.items():
            if rest.lower().startswith(f" {phrase}"):
                value, rest = value + added, rest[1 + len(phrase) :]
        if value.denominator > 1 or said in whole:
            rest = pattern("patterns", "of").sub(" ", rest)
        return Number(value, rest, rank, bool(SCALES.keys() & said.split()))
    return None


def _converted(text: str, language: str) -> tuple[Fraction | None, bool]:
    """The value of number words of text2num, and whether they are a rank."""
    from text_to_num import (  # pyright: ignore[reportMissingTypeStubs]
        alpha2digit,  # pyright: ignore[reportUnknownVariableType]
    )

    first, _, others = text.partition(" ")
    if first in ("a", "an") and others.split(" ")[0] in SCALES:
        text = f"one {others}"
    elif first in SCALES and first not in ("mil", "mille", "tausend"):
        return None, False
    for form in dict.fromkeys((text, without_accents(text))):
        digits = str(
            alpha2digit(form, language, threshold=0)  # pyright: ignore[reportUnknownArgumentType]
        )
        if digits != form and (match := _CONVERTED.fullmatch(digits)):
            return Fraction(match["value"].replace(",", ".")), bool(match["rank"])
    return None, False


def _han(text: str) -> Number | None:
    """Chinese and Japanese numerals, also mixed with digits: ``2万5千``, ``百分之三十五``."""
    if match := _HAN_PERCENT.match(text):
        number = _han_or_digits(text[match.end() :])
        return Number(number.value, "%" + number.rest) if number else None
    if match := _HAN_FRACTION.match(text):
        below, above = _han_or_digits(match["below"]), _han_or_digits(text[match.end() :])
        if above and below and below.value and not below.rest:
            return Number(above.value / below.value, above.rest)
    if text[:2] in ("一半", "半分"):
        return Number(Fraction(1, 2), text[2:])
    return _han_digits(text)


def _han_or_digits(text: str) -> Number | None:
    if number := _han_digits(text):
        return number
    match = re.match(r"[0-9]+(?:\.[0-9]+)?", text)
    return Number(Fraction(match[0]), text[match.end() :]) if match else None


def _han_digits(text: str) -> Number | None:
    match = _HAN_NUMBER.match(text)
    value = _han_value(match[0]) if match else None
    if match is None or value is None:
        return None
    rest = text[match.end() :]
    if point := _HAN_POINT.match(rest):
        value += Fraction("0." + "".join(str(_HAN[char]) for char in point[1]))
        rest = rest[point.end() :]
    return Number(value, rest, scaled=True)


def _han_value(text: str) -> Fraction | None:
    """The value of numerals: digit by digit (``二〇一九``), or by powers of ten that fall."""
    if all(char in _HAN for char in text):
        return None if len(text) == 2 else Fraction("".join(str(_HAN[char]) for char in text))
    total, section, digit = Fraction(0), Fraction(0), None
    small, large = 10**4, 10**16
    for part in re.findall(r"[0-9][0-9,.]*|\D", text):
        if part[0].isdecimal() or part in _HAN:
            value = Fraction(_HAN[part]) if part in _HAN else plain_number(part.rstrip(".,"))
            if digit or value is None:
                return None
            digit = value
        elif _HAN_SMALL.get(part, small) < small:
            small = _HAN_SMALL[part]
            section, digit = section + (1 if digit is None else digit) * small, None
        elif _HAN_LARGE.get(part, large) < large:
            large, small = _HAN_LARGE[part], 10**4
            total += (section + (digit or 0) or 1) * large
            section, digit = Fraction(0), None
        else:
            return None
    return total + section + (digit or 0)
