"""Units of measurement: names, dimensions, and exact factors between them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from vt_env.judges.lexicon import LANGUAGES, pairs, table, words


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as its dimension and its size in that dimension's base unit."""

    dimension: str
    factor: Fraction


Units = tuple[Unit, ...]
_SIMPLE_POWER = re.compile(r"(?P<base>[^\W\d]+)\s?\^?(?P<power>[23])$")
_WORD_POWER = re.compile(r"(?P<power>square|sq\.?|cubic|cu\.?) (?P<base>[a-zA-Z]+)$", re.I)
_AFTER_POWER = re.compile(r"(?P<base>[a-zA-Z]+) (?P<power>squared|cubed|carrés?|cuadrados?)$", re.I)
_PER = re.compile(r"\s?/\s?|\s+(?:per|pro|par|por)\s+|(?<=[a-z])\s?\*\s?(?=s\^-1)")
_DEGREES = re.compile(r"(?:deg(?:rees?)? |°) ?")
_LONGEST = 40


def _fraction(text: str) -> Fraction:
    if "*" in text:
        left, right = text.split("*")
        return Fraction(left) * Fraction(right)
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


@cache
def currencies() -> frozenset[str]:
    """The dimensions that are currencies: their codes in lower case."""
    return frozenset(table("units")["currencies"].lower().split())


@cache
def _tables() -> tuple[dict[str, Units], dict[str, Units]]:
    """Units by symbol (case counts) and by name (lower case)."""
    symbols: dict[str, Units] = {}
    names: dict[str, Units] = {}

    def add(forms: Iterable[str], unit: Unit, where: dict[str, Units]) -> None:
        for form in dict.fromkeys(forms):
            where[form] = tuple(dict.fromkeys((*where.get(form, ()), unit)))

    for line in table("units")["units"].strip().splitlines():
        dimension, factor, short, long = line.split("|")
        unit = Unit(dimension, _fraction(factor))
        add(short.split(), unit, symbols)
        for name in long.split():
            spaced = name.replace("_", " ")
            add((spaced, spaced + "s", spaced.replace("-", " ")), unit, names)
    for line in table("units")["shared"].strip().splitlines():
        form, _, codes = line.partition("|")
        for code in codes.split():
            dimension, _, below = code.partition("/")
            unit = Unit(dimension, Fraction(1, int(below or 1)))
            add((form, form + "s"), unit, names) if form.islower() else add((form,), unit, symbols)
    symbols["μ"] = ()
    names |= {"degrees celsius": names["celsius"], "years old": names["year"]}
    return symbols, names


@cache
def _cldr() -> tuple[dict[str, Units], dict[str, Units]]:
    """Codes and signs of currencies, and their names in every language, from CLDR."""
    from babel import Locale
    from babel.numbers import get_currency_name, get_currency_symbol

    symbols: dict[str, Units] = {}
    names: dict[str, Units] = {}
    for code in table("units")["currencies"].split():
        unit = (Unit(code.lower(), Fraction(1)),)
        symbols[code] = unit
        symbols.setdefault(get_currency_symbol(code, "en"), unit)
        for locale in map(Locale, LANGUAGES):
            for count in (1, 2):
                names.setdefault(get_currency_name(code, count, locale).lower(), unit)
    return symbols, names


def period(word: str) -> Units:
    """The units of a word for what money is paid for: *monthly*."""
    return parse_unit(pairs(table("units")["periods"]).get(word.lower(), ""))


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Units:
    """The units a text can mean as a whole; empty when it means none.

    Symbols are compared with their case (``mW`` is not ``MW``), names without it. Powers
    (``m^2``, ``square metres``) and quotients (``km/h``, ``miles per hour``) are composed.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return ()
    if whole := _lookup(text) or _lookup(text.rstrip(".").strip()):
        return whole
    parts = _PER.split(text.rstrip(".").strip())
    if len(parts) == 2 and all(parts):
        above, below = parse_unit(parts[0]), parse_unit(parts[1])
        return tuple(
            Unit(f"{a.dimension}/{b.dimension}", a.factor / b.factor) for a in above for b in below
        )
    return ()


def _lookup(text: str) -> Units:
    lower = text.lower()
    symbols, names = _tables()
    short = lower if text[1:].islower() and len(text) > 2 else text
    if found := symbols.get(text) or names.get(lower) or symbols.get(short):
        return found
    if match := _DEGREES.match(lower):
        found = _lookup(text[match.end() :])
        return tuple(u for u in found if u.dimension in ("celsius", "fahrenheit", "angle"))
    for pattern in (_SIMPLE_POWER, _WORD_POWER, _AFTER_POWER):
        if match := pattern.match(text):
            power, base = 3 if match["power"].lower().startswith(("3", "cu")) else 2, match["base"]
            return tuple(Unit(f"{u.dimension}^{power}", u.factor**power) for u in _lookup(base))
    symbols, names = _cldr()
    return symbols.get(text) or names.get(lower) or ()


def is_currency(units: Units) -> bool:
    """Whether a unit can be a currency."""
    return any(unit.dimension in currencies() for unit in units)


_TOKEN = re.compile(r"[^\W\d_]+(?:/[^\W\d_]+)?(?:\^[23])?|[°%$€£¥₹¢‰]+[CF]?")


def units_in(text: str) -> Units:
    """The units that a question asks for.

    Those after *in* or *how many* and those in brackets if there are any, else every unit that it
    names. Short ambiguous words count only where they are asked for.
    """
    found: list[Unit] = []
    strong: list[Unit] = []
    for bracket in re.findall(r"[(\[]([^()\[\]]{1,40})[)\]]", text):
        strong.extend(parse_unit(bracket.strip().removeprefix("in ")))
    tokens = _TOKEN.findall(text)
    for before, token in itertools.pairwise(["", *tokens]):
        introduced = before.lower() in ("in", "many", "en", "viele")
        if token.lower() in words("ambiguous_units") and not introduced:
            continue
        (strong if introduced else found).extend(parse_unit(token))
    return tuple(dict.fromkeys(strong or found))
