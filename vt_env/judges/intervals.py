"""Sets of numbers: an inequality, a chain of two, and an interval are three forms of one thing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vt_env.judges.arithmetic import constant
from vt_env.judges.math_parser import Node, parse

_MAY_BE_ONE = re.compile(r"[(\[]|.*[<>≤≥∈]")
_REVERSED = str.maketrans("<>≤≥", "><≥≤")
_INFINITE = Node("constant", name="∞")
_LOWEST = Node("-", (_INFINITE,))


@dataclass(frozen=True, slots=True)
class Interval:
    """From one number or -∞ to another or ∞, which may belong to it; of a variable, if written."""

    low: Node
    high: Node
    closed: tuple[bool, bool]
    name: str = ""


def parse_interval(text: str) -> Interval | None:
    """The interval that a cleaned text writes as a whole, or ``None``."""
    node = parse(text) if _MAY_BE_ONE.match(text) else None
    if node is None or node.kind == "tuple":
        return _bracketed(node)
    if node.kind != "relation":
        return None
    if node.name != "∈":
        return _chain(node)
    name, interval = node.parts
    return _bracketed(interval, name.name) if name.kind == "variable" else None


def _bracketed(node: Node | None, name: str = "") -> Interval | None:
    if node is None or node.kind != "tuple" or len(node.parts) != 2:
        return None
    low, high = map(_end, node.parts)
    return Interval(low, high, (node.name[0] == "[", node.name[1] == "]"), name)


def _chain(node: Node) -> Interval | None:
    """The interval of ``x < 5``, ``5 > x``, or ``1 < x ≤ 5``."""
    at = 0 if len(node.parts) == 2 and node.parts[0].kind == "variable" else 1
    name = node.parts[at]
    if not set(node.name) <= set("<>≤≥"):
        return None
    ends = {"low": (_LOWEST, False), "high": (_INFINITE, False)}
    for place, sign in enumerate(node.name):
        is_left = place < at
        sign = sign.translate(_REVERSED) if is_left else sign
        side = "high" if sign in "<≤" else "low"
        if ends[side][0] not in (_LOWEST, _INFINITE):
            return None
        ends[side] = _end(node.parts[place if is_left else place + 1]), sign in "≤≥"
    (low, low_closed), (high, high_closed) = ends["low"], ends["high"]
    return Interval(low, high, (low_closed, high_closed), name.name)


def same_interval(answer: str, reference: str, is_asked: bool) -> bool | None:
    """Whether two texts are one set of numbers; ``None`` where this rule does not decide.

    Two bracketed pairs are left to other rules, since they may be points; so is one pair against
    an inequality, unless it can be no point or the question asks for a set.
    """
    given, wanted = parse_interval(answer), parse_interval(reference)
    if given is None or wanted is None:
        return None
    bare = [interval for interval in (given, wanted) if not interval.name]
    may_be_point = any(
        i.low != _LOWEST and i.high != _INFINITE and i.closed[0] == i.closed[1] for i in bare
    )
    if len(bare) == 2 or (may_be_point and not is_asked):
        return None
    if given.closed != wanted.closed or len({given.name, wanted.name} - {""}) > 1:
        return False
    return True if (given.low, given.high) == (wanted.low, wanted.high) else None


def _end(node: Node) -> Node:
    """One end; equal numbers have the same."""
    known = constant(node)
    return node if known is None else Node("number", value=known)
