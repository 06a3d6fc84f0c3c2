"""Whether two short texts say the same thing, by form: value, date, list or phrase.

Every rule compares whole texts. Where both texts can be read as one kind (two quantities, two
dates, two times, two lists), that kind decides and no looser rule gets a second try.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import cast

from vt_env.judges.assignments import name_of, split_assignment, value_of
from vt_env.judges.characters import fold
from vt_env.judges.dates import dates_agree, parse_dates, parse_decade, parse_time
from vt_env.judges.expressions import is_mathematical, same_form
from vt_env.judges.identifiers import same_address, same_phone
from vt_env.judges.intervals import same_interval
from vt_env.judges.latex import delatex
from vt_env.judges.phrases import same_phrase, singular, spelling, stem
from vt_env.judges.quantity import Quantity, parse_quantity
from vt_env.judges.questions import Asked
from vt_env.judges.tables import WEEKDAY_NAMES
from vt_env.judges.units import Unit, is_currency

_SEPARATOR = re.compile(
    r"\s*(?:[;\n•]|,(?![0-9]{3}(?![0-9]))|,(?= ))\s*(?:and\s+|&\s*)?|\s+(?:and|&)\s+"
)
_RANGE = re.compile(
    r"(?:from |between )?(\S.{0,30}?)\s*(?:-|\bto\b|\buntil\b|\bthrough\b|\band\b)\s*(.{1,30})"
)
_RATIO = re.compile(r"(?P<left>[0-9.]+)\s*(?P<sign>[:/]|\bto\b)\s*(?P<right>[0-9.]+)")
_RANKS = frozenset(stem(word) for word in "place position rank".split())
_SET_CUES = frozenset(
    stem(word) for word in "interval domain range inequality solve solution set".split()
)
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SIZE = re.compile(
    rf"(?P<sides>{_NUMBER}(?:\s?[x×*]\s?{_NUMBER}){{1,2}})(?:\s?(?P<unit>[^\W\d_]{{1,12}}))?"
)
_PI = re.compile(r"(?<![a-zA-Z])pi(?= ?[-+*/^])|(?<=[0-9(*/^√])pi(?![a-zA-Z])")
_MEASURED = re.compile(r"(?P<value>[-+]?[0-9][0-9.,]* ?%) (?P<tail>[a-z]+(?: [a-z]+)?)")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_MAX_ITEMS = 50


def clean(text: str) -> str:
    """A text ready for the rules: folded, LaTeX made plain, emphasis and quotes stripped."""
    bullets = re.sub(r"(?:^|\n)[ \t]*(?:[-*•]|[0-9]{1,2}\.)[ \t]+(?=\S)", "\n", "\n" + text)
    lines = [line for line in bullets.split("\n") if line.strip()]
    text = "; ".join(lines) if len(lines) > 1 else text
    text = _PI.sub("π", fold(delatex(fold(text))).replace("**", "").strip())
    text = text.replace("<=", "≤").replace(">=", "≥").replace("!=", "≠")
    while len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`*_":
        text = text[1:-1].strip()
    return text


def same(answer: str, reference: str, asked: Asked) -> bool:
    """Whether an answer and a reference, both cleaned, agree by form."""
    if answer == reference:
        return True
    if not answer or not reference:
        return False
    verdict = same_kind(answer, reference, asked)
    if verdict is not None:
        return verdict
    if is_mathematical(answer) or is_mathematical(reference):
        if same_form(answer, reference):
            return True
    elif same_phrase(_forename_first(answer, reference), reference, plurals=not asked.names):
        return True
    return _same_list(answer, reference, asked) or _same_assignment(answer, reference, asked)


def _forename_first(answer: str, reference: str) -> str:
    """A name written *Surname, Forename* where the reference has no comma."""
    match = re.fullmatch(r"([A-Z][a-z'-]+), ([A-Z][a-z'-]+)", answer)
    return f"{match[2]} {match[1]}" if match and "," not in reference else answer


def same_kind(answer: str, reference: str, asked: Asked) -> bool | None:
    """Whether two values of one kind agree; ``None`` when they are not of one kind."""
    for rule in (
        _same_time,
        _same_date,
        _same_decade,
        _same_value,
        _same_range,
        _same_ratio,
        _same_size,
        _same_set,
        _same_identifier,
    ):
        verdict = rule(answer, reference, asked)
        if verdict is not None:
            return verdict
    return None


def _same_time(answer: str, reference: str, _: Asked) -> bool | None:
    given, wanted = parse_time(answer), parse_time(reference)
    return given == wanted if given and wanted else None


def _same_date(answer: str, reference: str, asked: Asked) -> bool | None:
    given, wanted = parse_dates(answer), parse_dates(reference)
    if not given or not wanted:
        return None
    years = frozenset(int(s) for s in asked.stems if len(s) == 4 and s.isascii() and s.isdigit())
    numeric = [tuple(map(int, re.findall(r"[0-9]+", text))) for text in (answer, reference)]
    plain = not re.search(r"[a-z]", (answer + reference).lower())
    if plain and len(numeric[0]) == 3 and numeric[0] == numeric[1]:
        return True
    return dates_agree(given, wanted, years)


def _same_decade(answer: str, reference: str, _: Asked) -> bool | None:
    given, wanted = parse_decade(answer), parse_decade(reference)
    return bool(set(given) & set(wanted)) if given and wanted else None


def _same_value(answer: str, reference: str, asked: Asked) -> bool | None:
    given, wanted = parse_quantity(answer), parse_quantity(reference)
    if not given or not wanted:
        return None
    return agree(given, wanted, asked) or (
        bool(given.noun and wanted.noun) and same_phrase(answer, reference)
    )


def agree(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether two quantities are equal, unit included.

    A unit on both sides must convert exactly. A unit on one side only is accepted when the
    question names the same unit, or names none and the *answer* is the one that has it. A missing
    percent or currency sign is forgiven, a wrong one never. ``0.5`` equals ``50%`` unless a
    percentage is asked for.
    """
    if given.ordinal != wanted.ordinal or not _nouns_agree(given, wanted, asked):
        return False
    if given.units and wanted.units:
        return bool(given.bases & wanted.bases)
    if not given.units and not wanted.units:
        return _scaled_equal(given, wanted, asked)
    with_unit, plain = (given, wanted) if given.units else (wanted, given)
    if asked.counted and not asked.units:
        return False
    dimensions = {unit.dimension for unit in with_unit.units}
    if dimensions == {"percent"} and not asked.percent and _is_share(with_unit, plain):
        return True
    if plain.noun and "point" not in dimensions:
        return False
    if not _scaled_equal(given, wanted, asked):
        return False
    named = [unit for unit in asked.units if unit.dimension != "percent" or asked.percent]
    if any(unit in with_unit.units for unit in named):
        return True
    if dimensions == {"percent"} and abs(plain.value) <= 1 and not asked.percent:
        return False
    if dimensions == {"percent"} or is_currency(with_unit.units):
        rivals = {"percent"} if dimensions == {"percent"} else set[str]()
        return not _foreign(named, dimensions | rivals, with_unit)
    if dimensions == {"angle"} and "angl" in asked.stems:
        return True
    if "point" in dimensions:
        return asked.percent or "point" in asked.stems
    return with_unit is given and not named


def _foreign(named: list[Unit], dimensions: set[str], quantity: Quantity) -> bool:
    """Whether the question names a unit of the same kind that the quantity does not have."""
    kinds = {unit.dimension for unit in named}
    if dimensions == {"percent"}:
        return bool(kinds - {"percent", "point"})
    return bool(kinds) and not kinds & {unit.dimension for unit in quantity.units}


def _is_share(percent: Quantity, plain: Quantity) -> bool:
    return not plain.noun and percent.value / 100 == plain.value


def _scaled_equal(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    if given.value == wanted.value:
        return True
    if given.scaled == wanted.scaled:
        return False
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    factors = [Fraction(scales[word]) for word in asked.scales if word in scales]
    big, small = (given, wanted) if given.scaled else (wanted, given)
    return any(small.value * factor == big.value for factor in factors)


def _nouns_agree(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether nouns differ at most by words of the question; a count is of what it asks for."""
    left = {singular(spelling(word)) for word in given.noun}
    right = {singular(spelling(word)) for word in wanted.noun}
    ranks = _RANKS if given.ordinal and _RANKS & asked.stems else frozenset[str]()
    counts = asked.counted and given.noun and not wanted.noun
    if counts and stem(given.noun[-1]) not in asked.counted:
        return False
    return {stem(word) for word in left ^ right} <= (asked.stems - asked.alternatives) | ranks


def _same_range(answer: str, reference: str, asked: Asked) -> bool | None:
    ends = [_range(answer), _range(reference)]
    if ends[0] is None or ends[1] is None:
        return None
    return all(same(given, wanted, asked) for given, wanted in zip(ends[0], ends[1], strict=True))


def _range(text: str) -> tuple[str, str] | None:
    if " and " in text and not text.lower().startswith("between "):
        return None
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    low, high = match[1], match[2]
    if not (_is_scalar(low) and _is_scalar(high)):
        return None
    unit = re.search(r"(?<=[0-9])\s*([^\d\s].*)$", high)
    if unit and re.fullmatch(r"[0-9.,]+", low) and not parse_time(high):
        low += unit[0]
    elif unit and parse_time(high) and re.fullmatch(r"[0-9:]+", low):
        low += unit[0] if "m" in unit[0].lower() else ""
    return low, high


def _is_scalar(text: str) -> bool:
    if text.lower().rstrip(".") in WEEKDAY_NAMES:
        return True
    if re.match(r"0[0-9]", text) and not parse_time(text):
        return False
    return bool(parse_quantity(text) or parse_time(text) or parse_dates(text))


def _same_ratio(answer: str, reference: str, asked: Asked) -> bool | None:
    """``4:7``, ``4 to 7``, and where a ratio is asked for also ``4/7``, but not two fractions."""
    given, wanted = _RATIO.fullmatch(answer), _RATIO.fullmatch(reference)
    if not given or not wanted:
        return None
    signs = given["sign"], wanted["sign"]
    if signs == ("/", "/") or ("/" in signs and "ratio" not in asked.stems):
        return None
    return (given["left"], given["right"]) == (wanted["left"], wanted["right"])


def _same_set(answer: str, reference: str, asked: Asked) -> bool | None:
    return same_interval(answer, reference, bool(asked.stems & _SET_CUES))


def _same_identifier(answer: str, reference: str, _: Asked) -> bool | None:
    verdict = same_address(answer, reference)
    return same_phone(answer, reference) if verdict is None else verdict


def _same_size(answer: str, reference: str, asked: Asked) -> bool | None:
    """Sizes such as ``10 x 20 cm``: the sides in their order, and the unit."""
    given, wanted = _SIZE.fullmatch(answer), _SIZE.fullmatch(reference)
    if not given or not wanted:
        return None
    units = given["unit"] or "", wanted["unit"] or ""
    sides = [re.split(r"\s*[x×*]\s*", match["sides"]) for match in (given, wanted)]
    return len(sides[0]) == len(sides[1]) and all(
        same(f"{left} {units[0]}".strip(), f"{right} {units[1]}".strip(), asked)
        for left, right in zip(*sides, strict=True)
    )


def items(text: str) -> list[str]:
    """The items of a written list; a single item when it is none."""
    text = text.strip()
    if loaded := _literal_items(text):
        return loaded
    if text[:1] in _BRACKETS and text[-1:] == _BRACKETS[text[0]]:
        text = text[1:-1]
    found = [part.strip(" .\"'") for part in _SEPARATOR.split(text)]
    found = [part for part in found if part]
    if len(found) == 1 and " or " in text:
        parts = text.split(" or ")
        if len({name_of(part.strip()) for part in parts} | {""}) == 2:
            return [part.strip() for part in parts]
    if len(found) == 1 and text.count("±") == 1:
        return [text.replace("±", "+"), text.replace("±", "-")]
    return found


def _literal_items(text: str) -> list[str]:
    """The texts of a list in the notation of JSON or Python; empty when it is none."""
    if not (text[:1] == "[" and text[-1:] == "]" and ("'" in text or '"' in text)):
        return []
    try:
        loaded: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    found = cast(list[object], loaded) if isinstance(loaded, list) else []
    return [str(item) for item in found]


def _same_list(answer: str, reference: str, asked: Asked) -> bool:
    given, wanted = items(answer), items(reference)
    if len(wanted) < 2 or len(given) != len(wanted) or len(wanted) > _MAX_ITEMS:
        return False
    if len({name_of(item) for item in given + wanted} - {""}) > 1:
        point = (reference if name_of(given[0]) else answer)[0] == "("
        return _same_system(given, wanted, point, asked)
    given, wanted = [value_of(item) for item in given], [value_of(item) for item in wanted]
    plain = [text for text in (answer, reference) if not _literal_items(text)]
    brackets = {text[0] for text in plain} & {"(", "["}
    if asked.ordered and not brackets:
        return all(same(g, w, asked) for g, w in zip(given, wanted, strict=True))
    if brackets:
        kinds = {text[0] if text[0] in "([{" else "" for text in (answer, reference)}
        ends = {text[-1] if text[-1] in ")]}" else "" for text in (answer, reference)}
        paired = zip(given, wanted, strict=True)
        return len(kinds) == len(ends) == 1 and all(same(g, w, asked) for g, w in paired)
    left = list(wanted)
    for item in given:
        match = next((w for w in left if same(item, w, asked)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _same_system(given: list[str], wanted: list[str], point: bool, asked: Asked) -> bool:
    """Values of several variables: by their names, or as a point in the order of the alphabet."""
    names = [[name_of(item) for item in side] for side in (given, wanted)]
    if all(names[0]) and all(names[1]):
        given, wanted = sorted(given), sorted(wanted)
        if sorted(names[0]) != sorted(names[1]) or len(set(names[0])) < len(given):
            return False
    elif any(names[0]) and any(names[1]):
        return False
    else:
        named = names[0] if any(names[0]) else names[1]
        if not (point and all(named) and named == sorted(set(named))):
            return False
    pairs = zip(given, wanted, strict=True)
    return all(same(value_of(g), value_of(w), asked) for g, w in pairs)


def _same_assignment(answer: str, reference: str, asked: Asked) -> bool:
    """``x = 5`` against ``5``; two assignments must name the same variable."""
    values = split_assignment(answer, reference, asked)
    return values != (answer, reference) and same(*values, asked)


def shortened(reference: str, asked: Asked) -> str:
    """A reference without a last word that the question has: ``4th floor`` for *which floor*.

    After a percentage its noun may have one more word (``82% relative humidity``), but no
    comparison (``12% lower humidity``).
    """
    if match := _MEASURED.fullmatch(reference):
        *more, last = match["tail"].split()
        if last == "off" and not more and "discount" in asked.stems:
            return match["value"]
        compared = any(word.endswith("er") or word in ("more", "less") for word in more)
        if stem(last) in asked.stems - asked.alternatives and not compared:
            return match["value"]
    head, _, last = reference.rpartition(" ")
    if head and last.isalpha() and stem(last) in asked.stems - asked.alternatives:
        return head
    return reference


def without_preposition(reference: str) -> str:
    """A place without its preposition: ``sofa`` for ``on the sofa``."""
    first, _, rest = reference.partition(" ")
    return rest if rest and first.lower() in ("in", "on", "at", "inside", "near") else reference
