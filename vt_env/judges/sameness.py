"""Whether two short texts say the same thing, by form: value, date, list or phrase.

Every rule compares whole texts. Where both texts can be read as one kind (two quantities, two
dates, two times, two lists), that kind decides and no looser rule gets a second try.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction

from vt_env.judges.characters import fold
from vt_env.judges.dates import dates_agree, parse_dates, parse_decade, parse_time
from vt_env.judges.expressions import is_mathematical, same_form
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
_RATIO = re.compile(r"([0-9.]+)\s*(?::|\bto\b)\s*([0-9.]+)")
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_SIZE = re.compile(
    rf"(?P<sides>{_NUMBER}(?:\s?[x×*]\s?{_NUMBER}){{1,2}})(?:\s?(?P<unit>[^\W\d_]{{1,12}}))?"
)
_ASSIGNED = re.compile(r"(?P<name>[^\W\d_](?:_?[0-9])?)\s*(?:=|∈)\s*(?P<value>[^=]+)")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_MAX_ITEMS = 50


def clean(text: str) -> str:
    """A text ready for the rules: folded, LaTeX made plain, emphasis and quotes stripped."""
    bullets = re.sub(r"(?:^|\n)[ \t]*(?:[-*•]|[0-9]{1,2}\.)[ \t]+(?=\S)", "\n", "\n" + text)
    lines = [line for line in bullets.split("\n") if line.strip()]
    text = "; ".join(lines) if len(lines) > 1 else text
    text = fold(delatex(fold(text))).replace("**", "").strip()
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
    elif same_phrase(answer, reference, plurals=not asked.names):
        return True
    return _same_list(answer, reference, asked) or _same_assignment(answer, reference, asked)


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
    left = {singular(spelling(word)) for word in given.noun}
    right = {singular(spelling(word)) for word in wanted.noun}
    return {stem(word) for word in left ^ right} <= asked.stems - asked.alternatives


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


def _same_ratio(answer: str, reference: str, _: Asked) -> bool | None:
    given, wanted = _RATIO.fullmatch(answer), _RATIO.fullmatch(reference)
    if not given or not wanted:
        return None
    return given.groups() == wanted.groups()


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
    if text[:1] == "[" and '"' in text:
        try:
            loaded: object = json.loads(text)
        except ValueError:
            loaded = None
        if isinstance(loaded, list):
            return [str(item) for item in loaded]  # type: ignore[reportUnknownVariableType]
    if text[:1] in _BRACKETS and text[-1:] == _BRACKETS[text[0]]:
        text = text[1:-1]
    found = [part.strip(" .\"'") for part in _SEPARATOR.split(text)]
    found = [part for part in found if part]
    if len(found) == 1 and " or " in text:
        parts = text.split(" or ")
        if all(_ASSIGNED.fullmatch(part.strip()) for part in parts):
            return [part.strip() for part in parts]
    return found


def _same_list(answer: str, reference: str, asked: Asked) -> bool:
    given, wanted = items(answer), items(reference)
    if len(wanted) < 2 or len(given) != len(wanted) or len(wanted) > _MAX_ITEMS:
        return False
    given, wanted = [_value_of(item) for item in given], [_value_of(item) for item in wanted]
    brackets = {text[0] for text in (answer, reference)} & {"(", "["}
    if asked.ordered or (brackets and '"' not in reference + answer):
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


def _value_of(item: str) -> str:
    match = _ASSIGNED.fullmatch(item)
    item = match["value"].strip() if match else item
    return re.sub(r"^(?:the|an?|and) (?=\S)", "", item)


def _same_assignment(answer: str, reference: str, asked: Asked) -> bool:
    """``x = 5`` against ``5``; two assignments must name the same variable."""
    given, wanted = _ASSIGNED.fullmatch(answer), _ASSIGNED.fullmatch(reference)
    if given and wanted:
        same_name = given["name"] == wanted["name"]
        return same_name and same(given["value"].strip(), wanted["value"].strip(), asked)
    if given and not re.search(r"[=<>≤≥≠]", reference):
        return same(given["value"].strip(), reference, asked)
    if wanted and not re.search(r"[=<>≤≥≠]", answer):
        return same(answer, wanted["value"].strip(), asked)
    return False


def split_assignment(answer: str, reference: str) -> tuple[str, str]:
    """The two values where one side, or both with one name, is ``name = value``."""
    given, wanted = _ASSIGNED.fullmatch(answer), _ASSIGNED.fullmatch(reference)
    if given and wanted and given["name"] == wanted["name"]:
        return given["value"].strip(), wanted["value"].strip()
    if given and not wanted and "=" not in reference:
        return given["value"].strip(), reference
    if wanted and not given and "=" not in answer:
        return answer, wanted["value"].strip()
    return answer, reference


def shortened(reference: str, asked: Asked) -> str:
    """A reference without a last word that the question has: ``4th floor`` for *which floor*."""
    head, _, last = reference.rpartition(" ")
    if head and last.isalpha() and stem(last) in asked.stems - asked.alternatives:
        return head
    return reference


def without_preposition(reference: str) -> str:
    """A place without its preposition: ``sofa`` for ``on the sofa``."""
    first, _, rest = reference.partition(" ")
    return rest if rest and first.lower() in ("in", "on", "at", "inside", "near") else reference
