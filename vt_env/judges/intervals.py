"""Sets of numbers: an inequality, a chain of two, and an interval are three forms of one thing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vt_env.judges.expressions import normal_form
from vt_env.judges.quantity import parse_quantity

_END = r"[^,<>≤≥=;()\[\]{}|]{1,30}"
_INTERVAL = re.compile(
    rf"(?:(?P<name>[a-zA-Z]) ?∈ ?)?"
    rf"(?P<open>[(\[]) ?(?P<low>{_END}), ?(?P<high>{_END})(?P<close>[)\]])"
)
_SIGN = r"[<>≤≥]"
_CHAIN = re.compile(
    rf"(?:(?P<first>{_END}?) ?(?P<before>{_SIGN}) ?)?(?P<name>[a-zA-Z])"
    rf"(?: ?(?P<after>{_SIGN}) ?(?P<last>{_END}))?"
)
_REVERSED = str.maketrans("<>≤≥", "><≥≤")


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval of numbers.

    Attributes:
        low: Its lower end in normal form, ``-∞`` for none.
        high: Its upper end, ``∞`` for none.
        closed: Whether the lower and the upper end belong to it.
        name: The variable that it restricts, where one is written.
    """

    low: str
    high: str
    closed: tuple[bool, bool]
    name: str = ""

    @property
    def is_certain(self) -> bool:
        """Whether it can be no point: an end is infinite, or only one end belongs to it."""
        return "∞" in self.low + self.high or self.closed[0] != self.closed[1]


def parse_interval(text: str) -> Interval | None:
    """The interval that a cleaned text writes as a whole, or ``None``."""
    if match := _INTERVAL.fullmatch(text):
        closed = match["open"] == "[", match["close"] == "]"
        return Interval(_end(match["low"]), _end(match["high"]), closed, match["name"] or "")
    match = _CHAIN.fullmatch(text)
    if match is None or not (match["before"] or match["after"]):
        return None
    bounds = {"low": ("-∞", False), "high": ("∞", False)}
    written = [(match["last"], match["after"]), (match["first"], match["before"])]
    for index, (end, sign) in enumerate(written):
        if sign is None:
            continue
        sign = sign.translate(_REVERSED) if index else sign
        side = "high" if sign in "<≤" else "low"
        if "∞" not in bounds[side][0]:
            return None
        bounds[side] = _end(end), sign in "≤≥"
    if match["before"] and match["after"] and "∞" in bounds["low"][0] + bounds["high"][0]:
        return None
    (low, low_closed), (high, high_closed) = bounds["low"], bounds["high"]
    return Interval(low, high, (low_closed, high_closed), match["name"])


def same_interval(answer: str, reference: str, is_asked: bool) -> bool | None:
    """Whether two texts are one set of numbers; ``None`` where this rule does not decide.

    Two bracketed pairs are left to other rules, since they may be points; so is one pair against
    an inequality, unless it can be no point or the question asks for a set.
    """
    given, wanted = parse_interval(answer), parse_interval(reference)
    if given is None or wanted is None:
        return None
    bare = [interval for interval in (given, wanted) if not interval.name]
    if len(bare) == 2 or (bare and not (bare[0].is_certain or is_asked)):
        return None
    if given.closed != wanted.closed or len({given.name, wanted.name} - {""}) > 1:
        return False
    return True if (given.low, given.high) == (wanted.low, wanted.high) else None


def _end(text: str) -> str:
    """One end in normal form; equal numbers have the same."""
    form = normal_form(text).removeprefix("+")
    quantity = parse_quantity(form)
    return str(quantity.value) if quantity and not (quantity.units or quantity.noun) else form
