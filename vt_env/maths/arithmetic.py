"""What expressions are worth at a point, whether two are equal, and which set of numbers one is.

Values are exact where they are rational, else of 150 digits. Roots and functions have principal
values, but an odd root is real where its radicand is. Nothing takes long or much memory: fractions
are bounded in bits, and no other number but zero may leave the range from 1e-40 to 1e40, which
leaves more than 100 digits behind the point. Equality keeps relations and their directions,
brackets, the number of components, the variables and their case.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]

from vt_env.maths.parser import Node, parse

Value = Any
"""A ``Fraction``, or a real or complex number of mpmath that may be irrational."""
Point = Mapping[str, Fraction]
"""Values of the variables, and as ``log`` the natural logarithm's ratio to one without a base."""

_MP: Any = mpmath.MPContext()
"""Threads share it: nothing is used here that changes its precision for a while."""
_MP.dps = 150
for _constant in (_MP.pi, _MP.e, _MP.ln2):
    _constant(prec=1 << 13)  # kept by mpmath, and no thread may find it growing
_LEAST, _MOST = _MP.mpf("1e-40"), _MP.mpf("1e40")
_NOTHING = _MP.mpf("1e-85")
"""What sums and functions leave of zero is less, and all other values are greater."""
_MOST_BITS = 1 << 12
_LARGEST_FACTORIAL = 400
_CONSTANTS: dict[str, Value] = {"π": +_MP.pi, "e": +_MP.e}
_SCALES = (Fraction(1, 2), 1, 2, 3)
_FLIPPED = str.maketrans("<>≤≥", "><≥≤")
_COLLECTIONS = ("relation", "tuple", "set", "list", "∪")
_MAY_BE_ONE = re.compile(r"[(\[]|.*[<>≤≥∈]")
_INFINITE = Node("constant", name="∞")
_LOWEST = Node("-", (_INFINITE,))


class TooLarge(ArithmeticError):
    """A value is too large or too small to be worked out."""


def variables(*nodes: Node) -> frozenset[str]:
    """The variables of expressions."""
    parts = Node("list", nodes).walk()
    return frozenset(part.name for part in parts if part.kind == "variable")


def points(one: Node, other: Node) -> Iterator[Point]:
    """Points at which two expressions are compared, which nobody can choose beforehand.

    Each comes with its mirror image. Variables have one sign or alternating signs, and sizes from
    below one to beyond every number in the expressions, so that what is equal for some signs or
    sizes only (``|x - 3|`` and ``3 - x``) is told apart.
    """
    names, seed = sorted(variables(one, other)), repr((one, other))
    if not names:
        yield {"log": _drawn(seed)}
        return
    for scale in (*_SCALES, (2 + 2 * _reach(one, other)) ** 2):
        for side in (1, -1):
            at = {"log": _drawn(f"{seed}{scale}")}
            for place, name in enumerate(names):
                sign = -side if scale == _SCALES[-1] and place % 2 else side
                at[name] = sign * scale * _drawn(f"{seed}{scale}{name}")
            yield at


def _drawn(seed: str) -> Fraction:
    """A value from 1 to 2."""
    drawn = hashlib.sha256(seed.encode("utf-8", "replace")).digest()
    return 1 + Fraction(int.from_bytes(drawn[:2]), 1 << 16)


def _reach(*nodes: Node) -> int:
    """The largest number in expressions, or one over the smallest."""
    largest = 1
    for part in Node("list", nodes).walk():
        with contextlib.suppress(ArithmeticError, KeyError):  # it has variables, or no value
            number = abs(value(part, {}))
            largest = max(largest, int(number), int(1 / number))
    return largest


def value(node: Node, at: Point) -> Value:
    """The value of an expression at a point.

    Raises:
        TooLarge: A number in it is too large or too small to be worked out.
        ZeroDivisionError: It has no value there, as infinity and a set have none.
    """
    if node.kind == "number":
        return node.value
    if node.kind in ("variable", "constant"):
        known = at.get(node.name, _CONSTANTS.get(node.name))
        if known is None:
            raise ZeroDivisionError(f"{node.name} has no value")
        return known
    parts = [value(part, at) for part in node.parts]
    if node.kind == "function":
        found = _FUNCTIONS[node.name](_real(parts[0]))
        found = found * _real(at["log"]) if node.name == "log" else found
    elif node.kind in _OPERATIONS:
        found = _OPERATIONS[node.kind](*parts)
    else:
        raise ZeroDivisionError(f"a {node.kind} has no value")
    return _bounded(found, node.name or node.kind)


def _folded(operation: Callable[[Any, Any], Any], kind: str) -> Callable[..., Value]:
    """An operation from part to part, in fractions as long as both are."""

    def apply(one: Value, other: Value) -> Value:
        if not (isinstance(one, Fraction) and isinstance(other, Fraction)):
            one, other = _real(one), _real(other)
        return _bounded(operation(one, other), kind)

    return lambda *parts: functools.reduce(apply, parts)


def _power(base: Value, exponent: Value) -> Value:
    if not base:
        if _real(exponent).real <= 0:
            raise ZeroDivisionError("zero to a power that is not positive")
        return base
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        if abs(base) != 1 and abs(exponent) * _bits(base) > _MOST_BITS:
            raise TooLarge("a power is too large to be worked out")
        return base ** int(exponent) if abs(base) != 1 else base ** int(exponent % 2)
    base = _real(base)
    is_odd = isinstance(exponent, Fraction) and exponent.denominator % 2 == 1
    if is_odd and isinstance(base, _MP.mpf) and base < 0:
        return (-1) ** (exponent.numerator % 2) * (-base) ** _real(exponent)
    return base ** _real(exponent)


def _count(number: Value) -> int:
    if not isinstance(number, Fraction) or number.denominator != 1 or number < 0:
        raise ZeroDivisionError("a factorial of what is no count")
    if number > _LARGEST_FACTORIAL:
        raise TooLarge("a factorial is too large to be worked out")
    return int(number)


def _real(number: Value) -> Value:
    """A number as one of mpmath."""
    if isinstance(number, Fraction) and number:
        return _in_range(_MP.mpf(number.numerator) / number.denominator)
    return _MP.mpf(0) if isinstance(number, Fraction) else number


def _bounded(number: Value, kind: str) -> Value:
    """A number that is neither too large nor too small, with what is left of zero as zero."""
    if isinstance(number, Fraction):
        if _bits(number) > _MOST_BITS:
            raise TooLarge("a number is too large to be worked out")
        return number
    if isinstance(number, _MP.mpc):
        real, imaginary = (part * (abs(part) >= _NOTHING) for part in (number.real, number.imag))
        number = _MP.mpc(real, imaginary) if imaginary else real
    vanishes = kind in _VANISHING and abs(number) < _NOTHING
    return Fraction(0) if vanishes or not number else _in_range(number)


def _in_range(number: Value) -> Value:
    if not _LEAST <= abs(number) <= _MOST:  # nor where it is no number
        raise TooLarge("a number is too large or too small to be worked out")
    return number


def _bits(number: Fraction) -> int:
    return number.numerator.bit_length() + number.denominator.bit_length()


_FUNCTIONS: dict[str, Callable[[Value], Value]] = {
    **{name: getattr(_MP, name) for name in "exp ln sin cos tan sinh cosh tanh".split()},
    **{f"arc{name}": getattr(_MP, f"a{name}") for name in ("sin", "cos", "tan")},
    "log": _MP.ln,
    "sec": lambda x: 1 / _MP.cos(x),
    "csc": lambda x: 1 / _MP.sin(x),
    "cot": lambda x: 1 / _MP.tan(x),
}
_VANISHING = _FUNCTIONS.keys() - {"exp"} | {"+"}
"""Operations whose value may be zero where their parts are not."""
_UNARY: dict[str, Callable[[Value], Value]] = {
    "-": operator.neg,
    "abs": abs,
    "!": lambda count: Fraction(math.factorial(_count(count))),
}
_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "^": _power,
    "root": lambda degree, radicand: _power(radicand, 1 / degree),
    "log": lambda base, number: _MP.ln(_real(number)) / _MP.ln(_real(base)),
    "binomial": lambda all_, chosen: Fraction(math.comb(_count(all_), _count(chosen))),
}
_OPERATIONS: dict[str, Callable[..., Value]] = {
    **_UNARY,
    **_BINARY,
    "+": _folded(operator.add, "+"),
    "*": _folded(operator.mul, "*"),
    "/": _folded(lambda one, other: one / other, "/"),
}


def is_same(one: Value, other: Value) -> bool:
    """Whether two values are equal, to 85 places behind the point where one may be irrational."""
    if isinstance(one, Fraction) and isinstance(other, Fraction):
        return one == other
    return bool(abs(_real(one) - _real(other)) < _NOTHING)


def constant(node: Node) -> Fraction | None:
    """The exact value of an expression without variables; ``None`` if it has none or may not."""
    try:
        found = value(node, {})
    except (ArithmeticError, KeyError):
        return None
    return found if isinstance(found, Fraction) else None


def evaluate(text: str) -> Fraction | None:
    """The exact value of a written sum such as ``2^10`` or ``3 + 4``; ``None`` if it is none."""
    node = parse(text)
    return None if node is None or node.kind == "number" else constant(node)


def equal(given: Node, wanted: Node) -> bool:
    """Whether two expressions are equal.

    Raises:
        TooLarge: They are too large to be worked out at any point.
    """
    if given == wanted:
        return True
    if variables(given) != variables(wanted):
        return False
    if given.kind == wanted.kind == "relation":
        return _same_relation(given, wanted)
    if given.kind in _COLLECTIONS or wanted.kind in _COLLECTIONS:
        same_kind = (given.kind, given.name) == (wanted.kind, wanted.name)
        return same_kind and _same_parts(given.parts, wanted.parts, _is_loose(wanted))
    return _same_value(given, wanted)


def _is_loose(node: Node) -> bool:
    """Whether the order of the parts says nothing: in sets, and in lists of equations."""
    equations = node.kind == "list" and all(part.kind == "relation" for part in node.parts)
    return equations or node.kind in ("set", "∪")


def _same_parts(given: Sequence[Node], wanted: Sequence[Node], loose: bool = False) -> bool:
    left = list(given)
    if len(left) != len(wanted):
        return False
    for item in wanted:
        choices = range(len(left)) if loose else (0,)
        found = next((i for i in choices if equal(left[i], item)), None)
        if found is None:
            return False
        del left[found]
    return True


def _same_relation(given: Node, wanted: Node) -> bool:
    """Sides equal in order or turned round; an equation may be a multiple, if it is not solved."""
    turned = Node("relation", given.parts[::-1], given.name.translate(_FLIPPED)[::-1])
    forms = [form for form in (given, turned) if form.name == wanted.name]
    if any(_same_parts(form.parts, wanted.parts) for form in forms):
        return True
    if not forms or len(wanted.parts) != 2 or wanted.name == "∈" or _is_solved(wanted):
        return False
    return _is_multiple(forms[0], wanted)


def _is_solved(relation: Node) -> bool:
    """Whether a relation says what one variable is: ``x = 5``, ``x < 3``."""
    return any(
        side.kind == "variable" and not variables(other)
        for side, other in (relation.parts, relation.parts[::-1])
    )


def _is_multiple(given: Node, wanted: Node) -> bool:
    """Whether the differences of the sides are in a constant ratio, positive for an inequality."""
    above, below = (
        Node("+", (left, Node("-", (right,)))) for left, right in (given.parts, wanted.parts)
    )
    ratios = [ratio for ratio, _ in _values(Node("/", (above, below)), Node("number"))]
    if len(ratios) < 2 or not ratios[0] or None in ratios:
        return False
    positive = wanted.name in ("=", "≠") or is_same(ratios[0], abs(ratios[0]))
    return positive and all(is_same(ratio, ratios[0]) for ratio in ratios)


def _same_value(given: Node, wanted: Node) -> bool:
    """Whether two expressions have the same values, and one at all."""
    found = False
    for one, other in _values(given, wanted):
        if (one is None) != (other is None) or not (one is None or is_same(one, other)):
            return False
        found = found or one is not None
    return found


def _values(one: Node, other: Node) -> Iterator[tuple[Value | None, Value | None]]:
    """What two expressions are worth at the points at which that can be worked out.

    Raises:
        TooLarge: It cannot at any of them.
    """
    problems, tried = list[TooLarge](), 0
    for at in points(one, other):
        tried += 1
        try:
            yield _value(one, at), _value(other, at)
        except TooLarge as error:
            problems.append(error)
    if len(problems) == tried:
        raise problems[0]


def _value(node: Node, at: Point) -> Value | None:
    try:
        return value(node, at)
    except ZeroDivisionError:
        return None


def is_worked_out(node: Node) -> bool:
    """Whether no sum or product of plain numbers is left in an expression.

    ``3 + 5``, ``555-1234`` and ``2 * 3`` are not worked out; ``1/2``, ``2^10`` and ``6 * 10^5`` are
    numbers as people write them.
    """
    if node.kind in ("+", "*"):
        numbers = sum(map(_is_number, node.parts))
        power = node.parts[-1]
        scientific = power.kind == "^" and power.parts[0].value == 10 and _is_number(power.parts[1])
        if numbers > 1 and not (scientific and node.kind == "*" and len(node.parts) == 2):
            return False
    return all(map(is_worked_out, node.parts))


def _is_number(node: Node) -> bool:
    if node.kind in ("-", "/", "^", "!", "binomial"):
        return all(map(_is_number, node.parts))
    return node.kind == "number"


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
        sign = sign.translate(_FLIPPED) if is_left else sign
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
