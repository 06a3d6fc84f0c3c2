"""What expressions are worth at a point: exactly where that is rational, else to 150 digits.

Roots and functions have principal values, but an odd root is real where its radicand is.
Nothing here takes long or much memory: fractions are bounded in bits, and no other number but zero
may leave the range from 1e-40 to 1e40, which leaves more than 100 digits behind the point.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]

from vt_env.judges.math_parser import Node, parse

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
