"""Numbers and quantities: reading them exactly, and telling whether two agree.

Values are fractions, so equality is exact: nothing is rounded and no tolerance is implied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from vt_env.judges.tables import CARDINALS, NEGATIONS, ORDINALS, SCALE_WORDS
from vt_env.judges.units import Unit, is_currency, parse_unit


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with what it counts.

    Attributes:
        value: The number, scale words applied.
        units: What the unit can mean (empty: none given).
        noun: Words after the number that are no unit, e.g. ``("dog",)``.
        ordinal: Whether it is a rank (``third``, ``3rd``).
        scaled: Whether a scale word or letter was given (``5 million``, ``5k``).
    """

    value: Fraction
    units: tuple[Unit, ...] = ()
    noun: tuple[str, ...] = ()
    ordinal: bool = False
    scaled: bool = False

    @property
    def bases(self) -> frozenset[tuple[str, Fraction]]:
        """Every reading as (dimension, value in base units)."""
        return frozenset((unit.dimension, self.value * unit.factor) for unit in self.units)


_CURRENCY = re.compile(r"(?:US|A|C|AU|CA|R)?\$|[€£¥₹₩₽¢]|(?:USD|EUR|GBP|INR|Rs\.?)(?=[ \d])")
_DIGITS = re.compile(
    r"(?:[0-9]{1,3}(?:[ '][0-9]{3})+(?![0-9])|[0-9]+(?:[.,][0-9]+)*|[.,][0-9]+)"
    r"(?P<exp>[eE][+-]?[0-9]{1,4})?"
)
_POWER = re.compile(r" ?[×x*·] ?10 ?\^ ?[({]?(?P<exp>[+-]?[0-9]{1,4})[)}]?")
_BARE_POWER = re.compile(r"10\^[({]?(?P<exp>[+-]?[0-9]{1,4})[)}]?$")
_OVER = re.compile(r" ?/ ?(?P<below>[0-9]{1,9})(?![0-9/.,])")
_MIXED = re.compile(r" (?P<above>[0-9]{1,9}) ?/ ?(?P<below>[0-9]{1,9})(?![0-9/.,])")
_ORDINAL_END = re.compile(r"(?:st|nd|rd|th)\b")
_SCALE_LETTER = re.compile(r"(?P<letter>[kKMB]|bn|mn|tn|Bn|mln|T)(?![A-Za-z^/²³])")
_SCALE_WORD = re.compile(rf" ?(?P<word>{'|'.join(SCALE_WORDS)})s?\b", re.I)
_LETTERS = {"k": 3, "K": 3, "M": 6, "mn": 6, "mln": 6, "B": 9, "bn": 9, "Bn": 9, "tn": 12, "T": 12}
_PARTS = {"half": 2, "halve": 2, "quarter": 4, "third": 3}
_LONGEST = 120


def plain_number(digits: str) -> Fraction | None:
    """The value of digits with separators: ``1,234.5``, ``1.234,5``, ``1 234``, ``2,5``, ``.5``.

    A lone dot is a decimal point. A lone comma is one too, unless it cuts off exactly three
    digits from a number that does not start with zero; so ``1,234`` is a thousand and ``1.234``
    is not.
    """
    digits = digits.replace(" ", "").replace("'", "")
    dots, commas = digits.count("."), digits.count(",")
    if dots and commas:
        decimal = "." if digits.rfind(".") > digits.rfind(",") else ","
        thousands = "," if decimal == "." else "."
        whole, _, part = digits.rpartition(decimal)
        if decimal in whole or not _is_grouped(whole, thousands):
            return None
        digits = f"{whole.replace(thousands, '')}.{part}"
    elif commas:
        if _is_grouped(digits, ",") and digits[0] != "0":
            digits = digits.replace(",", "")
        elif commas == 1:
            digits = digits.replace(",", ".")
        else:
            return None
    elif dots > 1:
        if not _is_grouped(digits, "."):
            return None
        digits = digits.replace(".", "")
    digits = f"0{digits}" if digits.startswith(".") else digits
    return Fraction(digits) if len(digits) <= 60 else None


def _is_grouped(digits: str, separator: str) -> bool:
    first, *groups = digits.split(separator)
    if not 1 <= len(first) <= 3 or not groups or len(groups[-1]) != 3:
        return False
    return all(len(g) == 3 for g in groups) or all(len(g) == 2 for g in groups[:-1])


def parse_quantity(text: str) -> Quantity | None:
    """Reads a whole text as one quantity, or returns ``None``.

    Knows signs, separators, fractions, mixed and scientific numbers, number words, scale words,
    ordinals, currencies before or after, units, compound units (``1 hour 30 minutes``) and one
    counted noun phrase. Text must have been folded; longer than 120 characters is no quantity.
    """
    text = text.strip().rstrip(".").strip() if len(text) <= _LONGEST else ""
    if not text:
        return None
    sign, text, currency = _prefix(text)
    number = _number(text) or _number_words(text)
    if number is None:
        return None
    quantity, rest = number
    value = sign * quantity.value
    return _finish(Quantity(value, currency, (), quantity.ordinal, quantity.scaled), rest)


def _prefix(text: str) -> tuple[int, str, tuple[Unit, ...]]:
    sign, currency = 1, ()
    for _ in range(2):
        if text[:1] in "+-" and text[:1]:
            sign, text = (-sign if text[0] == "-" else sign), text[1:].lstrip()
        elif match := re.match(r"(?:minus|negative) ", text, re.I):
            sign, text = -sign, text[match.end() :]
        if not currency and (match := _CURRENCY.match(text)):
            currency = parse_unit(match[0])
            text = text[match.end() :].lstrip()
    if text[:1] == "#" and not currency:
        text = text[1:].lstrip()
    return sign, text, currency


def _number(text: str) -> tuple[Quantity, str] | None:
    if match := _BARE_POWER.match(text):
        return _power_of_ten(Fraction(1), match["exp"], "")
    match = _DIGITS.match(text)
    if match is None:
        return None
    digits = match[0].removesuffix(match["exp"] or "")
    value = None if _is_identifier(digits) else plain_number(digits)
    rest = text[match.end() :]
    if value is None:
        return None
    if match["exp"]:
        return _power_of_ten(value, match["exp"][1:], rest)
    if power := _POWER.match(rest):
        return _power_of_ten(value, power["exp"], rest[power.end() :])
    for pattern in (_MIXED, _OVER):
        if (over := pattern.match(rest)) and value.denominator == 1:
            below = int(over["below"])
            if not below:
                return None
            above = over.groupdict().get("above")
            total = value + Fraction(int(above), below) if above else value / below
            return Quantity(total), rest[over.end() :]
    if end := _ORDINAL_END.match(rest):
        return Quantity(value, ordinal=True), rest[end.end() :]
    return _scaled(Quantity(value), rest)


def _is_identifier(digits: str) -> bool:
    """Whether digits are a code rather than a value: ``007``."""
    return len(digits) > 1 and digits[0] == "0" and digits.isdecimal()


def _power_of_ten(value: Fraction, exponent: str, rest: str) -> tuple[Quantity, str] | None:
    power = int(exponent)
    return (Quantity(value * Fraction(10) ** power), rest) if abs(power) <= 300 else None


def _scaled(quantity: Quantity, rest: str) -> tuple[Quantity, str]:
    scale = Fraction(1)
    if letter := _SCALE_LETTER.match(rest):
        scale, rest = Fraction(10) ** _LETTERS[letter["letter"]], rest[letter.end() :]
    for _ in range(2):
        if word := _SCALE_WORD.match(rest):
            scale, rest = scale * SCALE_WORDS[word["word"].lower()], rest[word.end() :]
    return Quantity(quantity.value * scale, scaled=scale != 1), rest


def _number_words(text: str) -> tuple[Quantity, str] | None:
    """A number in words from the start of a text, and what is left."""
    tokens = list(re.finditer(r"[A-Za-z]+|-|\S", text))
    words = [token[0].lower() for token in tokens]
    if words[:2] in (["a", "dozen"], ["one", "dozen"], ["a", "pair"], ["a", "couple"]):
        return Quantity(Fraction(12 if words[1] == "dozen" else 2)), text[tokens[1].end() :]
    if words[:1] == ["dozen"]:
        return Quantity(Fraction(12)), text[tokens[0].end() :]
    if words[:2] == ["a", "single"] or words[:1] == ["single"]:
        return Quantity(Fraction(1)), text[tokens[words.index("single")].end() :]
    if words and words[0] in ("none", "no", "nobody") and len(words) <= 3:
        return Quantity(Fraction(0)), text[tokens[0].end() :]
    total, used, state = _read_words(words)
    if not used:
        return None
    rest = text[tokens[used - 1].end() :]
    return Quantity(total, ordinal=state == "ordinal", scaled=state == "scaled"), rest


def _read_words(words: list[str]) -> tuple[Fraction, int, str]:
    """Sums number words: (value, words used, ``""``/``"scaled"``/``"ordinal"``)."""
    total, group, used, state = Fraction(0), Fraction(0), 0, ""
    last = 1000
    if words[:1] in (["a"], ["an"]) and words[1:2] and words[1] in (*SCALE_WORDS, *_PARTS):
        group, used, last = Fraction(1), 1, 0
    index = used
    while index < len(words):
        word = words[index]
        singular = word.rstrip("s")
        if word in ("-", "and") and used and index + 1 < len(words):
            index += 1
            if words[index] not in CARDINALS and words[index].rstrip("s") not in ORDINALS:
                if words[index] in _PARTS or words[index] in ("a", "half"):
                    return _with_part(total + group, words, index, used)
                if words[index].rstrip("s") not in _PARTS:
                    break
            continue
        if word in CARDINALS and (CARDINALS[word] < last):
            value = CARDINALS[word]
            group, last = group + value, (10 if value >= 20 else 1 if value else 0)
        elif singular == "hundred" and used:
            group, last, state = group * 100, 100, "scaled"
        elif singular in SCALE_WORDS and used:
            total, group, last = total + group * SCALE_WORDS[singular], Fraction(0), 1000
            state = "scaled"
        elif singular in _PARTS and used and (group or total):
            return (total + group) / _PARTS[singular], index + 1, ""
        elif word in ("half", "quarter") and not used:
            used = index + 1 + (words[index + 1 : index + 2] in (["a"], ["an"], ["of"]))
            return Fraction(1, _PARTS[word]), used, ""
        elif word in ORDINALS and ORDINALS[word] < last:
            return total + group + ORDINALS[word], index + 1, "ordinal"
        elif singular in ORDINALS and word.endswith("s") and used and ORDINALS[singular] > 2:
            return (total + group) / ORDINALS[singular], index + 1, ""
        elif word == "point" and used:
            return _with_decimals(total + group, words, index + 1, used)
        else:
            break
        index += 1
        used = index
    return total + group, used, state


def _with_part(
    value: Fraction, words: list[str], index: int, used: int
) -> tuple[Fraction, int, str]:
    index += words[index] == "a"
    if index < len(words) and words[index] in _PARTS:
        return value + Fraction(1, _PARTS[words[index]]), index + 1, ""
    return value, used, ""


def _with_decimals(
    value: Fraction, words: list[str], index: int, used: int
) -> tuple[Fraction, int, str]:
    scale = Fraction(1)
    while index < len(words) and CARDINALS.get(words[index], 10) < 10:
        scale /= 10
        value += CARDINALS[words[index]] * scale
        index += 1
        used = index
    return value, used, ""


def _finish(head: Quantity, rest: str) -> Quantity | None:
    """Reads what follows the number: a scale, a unit, a second part, or a counted noun."""
    if not head.scaled and not head.ordinal:
        scaled, rest = _scaled(head, rest)
        head = Quantity(scaled.value, head.units, (), False, scaled.scaled)
    rest = rest.strip()
    if rest.startswith("-") and rest[1:2].isalpha():
        rest = rest[1:]
    if not rest:
        return head
    if units := parse_unit(rest):
        if head.units and not is_currency(units):
            return None
        both = tuple(set(units) & set(head.units)) if head.units else units
        return Quantity(head.value, both, (), head.ordinal, head.scaled) if both else None
    return _compound(head, rest) or _counted(head, rest)


def _compound(head: Quantity, rest: str) -> Quantity | None:
    """``1 hour 30 minutes``, ``5 ft 11 in``: parts of one dimension, each smaller than the last."""
    match = re.match(r"(?P<unit>[^\d,;]{1,20}?),?(?: and)? ?(?P<more>[0-9].*)$", rest, re.S)
    if match is None or head.units:
        return None
    units, more = parse_unit(match["unit"]), parse_quantity(match["more"])
    if more is None or not units or more.value < 0 or head.value.denominator != 1:
        return None
    for unit in units:
        for small in more.units:
            if small.dimension == unit.dimension and small.factor < unit.factor:
                total = head.value + more.value * small.factor / unit.factor
                return Quantity(total, (unit,))
    return None


def _counted(head: Quantity, rest: str) -> Quantity | None:
    words = re.findall(r"[^\W\d_]+", rest)
    ascii_rest = re.sub(r"[^\W\d_]+|[ '-]", "", rest)
    if ascii_rest or not 1 <= len(words) <= 4 or len(words[0]) == 1:
        return None
    noun = tuple(word.lower() for word in words)
    if set(noun) & (NEGATIONS | {"or", "and", "to", "am", "pm", "than", "with"} | set(CARDINALS)):
        return None
    return Quantity(head.value, head.units, noun, head.ordinal, head.scaled)
