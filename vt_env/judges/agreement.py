"""Whether two quantities are equal, unit, scale, period and counted noun included."""

from __future__ import annotations

from vt_env.judges.lexicon import words
from vt_env.judges.numerals import SCALES
from vt_env.judges.phrases import singular, spelling, stem
from vt_env.judges.quantity import Quantity
from vt_env.judges.questions import Asked
from vt_env.judges.units import is_currency

_PERCENT = frozenset(("percent",))
_OF_ONE_UNIT = frozenset(("percent", "permille", "angle", "pixel", "point", "months", "speed"))
"""Dimensions in which a number without its unit can mean one thing only."""


def agree(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether two quantities are equal, unit included.

    A unit on both sides must convert exactly. A unit that only the reference has may be missing
    where the question names it, or where it is a percent or currency sign. A unit that only the
    answer has must be what the question asks for, and the only one in use: ``12`` is neither 12 m
    nor 12 cm. ``0.5`` equals ``50%`` where a share is asked for without saying how to write it.
    """
    is_place = asked.word_set & words("numbered") and not given.noun
    if (given.ordinal != wanted.ordinal and not is_place) or not _nouns_agree(given, wanted, asked):
        return False
    if bool(given.period) != bool(wanted.period):
        if not set(given.period or wanted.period) & set(asked.periods):
            return False
    elif given.period and not set(given.period) & set(wanted.period):
        return False
    if given.units and wanted.units:
        return bool(given.bases & wanted.bases)
    if not given.units and not wanted.units:
        return _scaled_equal(given, wanted, asked)
    with_unit, plain = (given, wanted) if given.units else (wanted, given)
    if with_unit.dimensions == _PERCENT and plain.value * 100 == with_unit.value:
        return not asked.percent and bool(asked.word_set & words("proportion"))
    if plain.noun or (asked.counted and not asked.units):
        return False
    return _scaled_equal(given, wanted, asked) and _may_lack_unit(with_unit, given, asked)


def surely_differ(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether two quantities differ however units and scales are read, or supplied."""
    if given.units and wanted.units:
        return not given.bases & wanted.bases
    factors = {1, 1000}
    is_share = asked.percent or asked.word_set & words("proportion")
    if is_share or "percent" in given.dimensions | wanted.dimensions:
        factors.add(100)
    if given.scaled != wanted.scaled:
        factors.update((10**6, 10**9, 10**12))
    big, small = sorted((given.value, wanted.value), key=abs, reverse=True)
    return not any(small * factor == big for factor in factors)


def _may_lack_unit(with_unit: Quantity, given: Quantity, asked: Asked) -> bool:
    """Whether a unit may stand on one side only."""
    if any(unit in with_unit.units for unit in asked.units):
        return True
    named = {unit.dimension for unit in asked.units} - {"percent"}
    is_share = with_unit.dimensions == _PERCENT
    if with_unit is given:
        if is_share and abs(with_unit.value) <= 1 and not asked.percent:
            return False
        groups = {asked.group(unit) for unit in with_unit.units}
        alone = is_currency(with_unit.units) or bool(groups & _OF_ONE_UNIT)
        return alone and any(asked.measures_unit(u) for u in with_unit.units)
    if is_share:
        return asked.percent or abs(with_unit.value) > 1
    if is_currency(with_unit.units):
        return not named
    return bool(with_unit.dimensions & asked.measures & {"angle", "point"})


def _scaled_equal(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether values are equal, or one leaves out the scale word that the question has."""
    if given.value == wanted.value or given.scaled == wanted.scaled:
        return given.value == wanted.value
    big, small = (given, wanted) if given.scaled else (wanted, given)
    return any(small.value * SCALES[word] == big.value for word in asked.scales)


def _nouns_agree(given: Quantity, wanted: Quantity, asked: Asked) -> bool:
    """Whether one side leaves out at most nouns of the question; a count is of what it asks for."""
    if asked.language in ("zh", "ja"):
        left, right = (set(q.noun) - words("counters", "zh") for q in (given, wanted))
        is_same = left == right or (left | right) <= words("persons_counted", "zh")
        return is_same or (not (left and right) and all(n in asked.text for n in left | right))
    nouns = {stem(word) for word in given.noun}
    if asked.counted and nouns and stem(given.noun[-1]) not in asked.counted:
        return False
    if nouns and asked.counted & words("and") and not asked.counted - words("and") <= nouns:
        return False
    left, right = ({singular(spelling(w)): w for w in q.noun} for q in (given, wanted))
    if left.keys() - right.keys() and right.keys() - left.keys():
        return False
    others = {stem((left | right)[form]) for form in left.keys() ^ right.keys()}
    ranks = {stem(word) for word in words("ranks")} if given.ordinal else set[str]()
    if not ranks & asked.stems:
        ranks = set[str]()
    return others <= (asked.stems | asked.echo) - asked.alternatives | ranks
