"""Quantities: a number with its unit, currency, percent sign, period, or with what it counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from vt_env.judges.characters import is_cjk
from vt_env.judges.lexicon import pattern, table, words
from vt_env.judges.numerals import SCALES, Number, halves, plain_number, spoken_number
from vt_env.judges.units import Units, is_currency, parse_unit, period

_AFFINE = {
    "fahrenheit": ("celsius", Fraction(5, 9), Fraction(-160, 9)),
    "kelvin": ("celsius", Fraction(1), Fraction(-27315, 100)),
}
"""Scales whose zero is another one: the dimension that they are read in, the factor, the offset."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, scale words applied, with what its unit can mean, or the noun that it counts."""

    value: Fraction
    units: Units = ()
    noun: tuple[str, ...] = ()
    ordinal: bool = False  # a rank: ``third``
    scaled: bool = False  # with a scale word or letter: ``5 million``, ``5k``
    period: Units = ()  # that is paid for: ``$5 per month``, ``$5/kWh``

    @property
    def bases(self) -> frozenset[tuple[str, Fraction]]:
        """Every reading as (dimension, value in base units)."""
        return frozenset(
            (to, scale * self.value * unit.factor + offset)
            for unit in self.units
            for to, scale, offset in (_AFFINE.get(unit.dimension, (unit.dimension, 1, 0)),)
        )

    @property
    def dimensions(self) -> frozenset[str]:
        """The dimensions that its unit can have."""
        return frozenset(unit.dimension for unit in self.units)


_CURRENCY = re.compile(
    r"(?:US|A|C|AU|CA|R|HK|NT|S|NZ)?\$|[€£¥₹₩₽¢฿₫₪₺₴₦]"
    r"|(?:[A-Z]{3}|RM|Rs\.?|kr|zł|人民币)(?= ?[0-9])"
)
_DIGITS = re.compile(
    r"(?:[0-9]{1,3}(?:[ '][0-9]{3})+(?:[.,][0-9]{1,2})?(?![0-9])|[0-9]+(?:[.,][0-9]+)*|[.,][0-9]+)"
    r"(?P<exp>[eE][+-]?[0-9]{1,4})?"
)
_POWER = re.compile(r" ?[×x*·] ?10 ?\^ ?[({]?(?P<exp>[+-]?[0-9]{1,4})[)}]?")
_BARE_POWER = re.compile(r"10\^[({]?(?P<exp>[+-]?[0-9]{1,4})[)}]?$")
_OVER = re.compile(r"(?: (?P<above>[0-9]{1,9}))? ?/ ?(?P<below>[0-9]{1,9})(?![0-9/.,])")
_ORDINAL_END = re.compile(r"(?:st|nd|rd|th|er|ème|ª)\b")
_LETTERS = {"k": 3, "K": 3, "M": 6, "mn": 6, "mln": 6, "m": 6, "B": 9, "bn": 9, "Bn": 9, "tn": 12,
            "T": 12}  # fmt: skip
_SCALE_LETTER = re.compile(r" ?(?P<letter>[kKMBm]|bn|mn|tn|Bn|mln|T)(?![A-Za-z^/²³])")
_SCALE_WORD = re.compile(
    rf" ?(?P<word>{'|'.join(sorted(SCALES, key=len, reverse=True))})s?\b\.?(?: d[e'])?", re.I
)
_MINUS = re.compile(r"(?:[-+]|(?:minus|negative|moins|menos|负|零下|氷点下|マイナス) ?)\s*", re.I)
_ONE = re.compile(r"an? (?=[^\W\d_]{3,12}\b)", re.I)
_PER = re.compile(r"\s?/\s?|\s(?:per|pro|par|por|an?|each|every|je|al|à l'|la|le)\s", re.I)
_HALF = re.compile(r"(?P<many>[个個]?半[个個]?)(?P<before>.{1,4})|(?P<after>.{1,3})半")
_NO_NOUN = frozenset("or and to am pm than with uhr und oder et ou y o a à bis".split())
_LONGEST = 120


def parse_quantity(text: str, language: str = "en") -> Quantity | None:
    """The first reading of a whole text as a quantity (see ``quantities``), or ``None``."""
    return next(iter(quantities(text, language)), None)


@lru_cache(maxsize=8192)
def quantities(text: str, language: str = "en") -> tuple[Quantity, ...]:
    """Every way to read a whole text as one quantity; empty when it is none.

    A letter may be a scale or a unit (``300 K``). A folded text over 120 characters is none.
    """
    text = text.strip().rstrip("。.").strip() if len(text) <= _LONGEST else ""
    sign, text, currency = _prefix(text)
    if not text:
        return ()
    number = _number(text, language) or (
        None if text[0].isdecimal() else spoken_number(text, language)
    )
    if number is None and (one := _ONE.match(text)):
        found = _with_unit(Quantity(Fraction(1)), text[one.end() :], language)
        return tuple(q for q in found if q.dimensions & {"time", "months"})
    if number is None:
        return ()
    number = replace(number, value=sign * number.value)
    return tuple(dict.fromkeys(_endings(number, currency, language)))


def _prefix(text: str) -> tuple[int, str, Units]:
    """The sign and the currency before a number, in any order."""
    sign, currency = 1, ()
    for _ in range(2):
        if match := _MINUS.match(text):
            sign, text = (sign if match[0][0] == "+" else -sign), text[match.end() :]
        if not currency and (match := _CURRENCY.match(text)):
            currency = parse_unit(match[0])
            if not is_currency(currency):
                return sign, text, ()
            text = text[match.end() :].lstrip()
    return sign, text.removeprefix("#").lstrip() if not currency else text, currency


def _number(text: str, language: str) -> Number | None:
    if match := _BARE_POWER.match(text):
        return _power_of_ten(Fraction(1), match["exp"], "")
    match = _DIGITS.match(text)
    if match is None:
        return None
    digits, rest = match[0].removesuffix(match["exp"] or ""), text[match.end() :]
    if rest and is_cjk(rest[0]) and (han := spoken_number(text)):
        return han
    is_code = len(digits) > 1 and digits[0] == "0" and digits.isdecimal()
    value = None if is_code else plain_number(digits, language)
    if value is None:
        return None
    if match["exp"]:
        return _power_of_ten(value, match["exp"][1:], rest)
    if power := _POWER.match(rest):
        return _power_of_ten(value, power["exp"], rest[power.end() :])
    if (over := _OVER.match(rest)) and value.denominator == 1:
        if not (below := int(over["below"])):
            return None
        total = value + Fraction(int(over["above"]), below) if over["above"] else value / below
        return Number(total, rest[over.end() :])
    if end := _ORDINAL_END.match(rest):
        return Number(value, rest[end.end() :], ordinal=True)
    return Number(value, rest)


def _power_of_ten(value: Fraction, exponent: str, rest: str) -> Number | None:
    power = int(exponent)
    return Number(value * Fraction(10) ** power, rest) if abs(power) <= 300 else None


def _endings(number: Number, currency: Units, language: str) -> Iterator[Quantity]:
    """Every reading of what follows a number: a scale, a unit, smaller parts, or a noun."""
    head = Quantity(number.value, currency, (), number.ordinal, number.scaled)
    rest = number.rest
    for _ in range(2):
        if word := _SCALE_WORD.match(rest):
            factor = SCALES[word["word"].lower()]
            head = replace(head, value=head.value * factor, scaled=True)
            rest = rest[word.end() :]
    letter = None if head.ordinal or head.scaled else _SCALE_LETTER.match(rest)
    if letter and (letter["letter"] != "m" or currency):
        large = replace(head, value=head.value * 10 ** _LETTERS[letter["letter"]], scaled=True)
        yield from _with_unit(large, rest[letter.end() :], language)
        if not parse_unit(rest):
            return
    yield from _with_unit(head, rest, language)


def _with_unit(head: Quantity, rest: str, language: str) -> Iterator[Quantity]:
    rest = rest.strip()
    if rest.startswith("-") and rest[1:2].isalpha():
        rest = rest[1:]
    if not rest:
        yield head
        return
    if found := _paid(head, rest):
        yield found
        return
    if units := parse_unit(rest):
        both = tuple(set(units) & set(head.units)) if head.units else units
        if head.units and not both:
            return
        yield replace(head, units=both)
    if found := _more(head, rest, language):
        yield found
    elif not units and (counted := _counted(head, rest)):
        yield counted


def _paid(head: Quantity, rest: str) -> Quantity | None:
    """Money for a time or a measure: ``/month``, ``euros a year``, ``€ monatlich``."""
    unit, _, last = rest.rpartition(" ")
    paid_for = period(last)
    if not paid_for and (match := _PER.search(f" {rest}" if head.units else rest)):
        text = f" {rest}" if head.units else rest
        unit, paid_for = text[: match.start()].strip(), parse_unit(text[match.end() :])
    units = parse_unit(unit) if unit else head.units
    both = tuple(set(units) & set(head.units)) if head.units else units
    return replace(head, units=both, period=paid_for) if paid_for and is_currency(both) else None


def _more(head: Quantity, rest: str, language: str) -> Quantity | None:
    """``1 hour 30 minutes``, ``3 Euro 50``, ``2 hours and a half``: parts, each smaller."""
    if head.units:
        return None
    for phrase, half in halves(language).items():
        units = parse_unit(rest.removesuffix(f" {phrase}")) if rest.endswith(f" {phrase}") else ()
        if units:
            return replace(head, value=head.value + half, units=units)
    if match := _HALF.fullmatch(rest):
        units = parse_unit(match["before"] or match["after"])
        return replace(head, value=head.value + Fraction(1, 2), units=units) if units else None
    match = pattern("patterns", "parts").fullmatch(rest)
    if match is None or head.value.denominator != 1:
        return None
    written = (match["more"] or match["more2"]).strip()
    units, more = parse_unit(match["unit"] or match["unit2"]), parse_quantity(written, language)
    if more is None or not units or more.value < 0 or more.noun:
        return None
    is_pair = re.fullmatch(r"[0-9]{2}", written) is not None
    if is_pair and is_currency(units):
        return Quantity(head.value + more.value / 100, units)
    for unit in units:
        if is_pair and (unit.dimension, unit.factor) == ("time", 3600):
            return Quantity(head.value + more.value / 60, (unit,))
        for small in more.units:
            if small.dimension == unit.dimension and small.factor < unit.factor:
                total = head.value + more.value * small.factor / unit.factor
                return Quantity(total, (unit,))
    return None


def _counted(head: Quantity, rest: str) -> Quantity | None:
    if is_cjk(rest[0]):
        return replace(head, noun=(rest,)) if rest in table("units")["counters"].split() else None
    found = re.findall(r"[^\W\d_]+", rest)
    others = re.sub(r"[^\W\d_]+|[ '-]", "", rest)
    if others or not 1 <= len(found) <= 4 or len(found[0]) == 1:
        return None
    noun = tuple(word.lower() for word in found)
    barred = words("copulas", "en") | words("deny") | words("offer") | words("numbers") | _NO_NOUN
    return None if set(noun) & barred else replace(head, noun=noun)
