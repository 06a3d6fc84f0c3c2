"""Sums of plain numbers, worked out exactly."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_SUM = re.compile(r"[-+*/^().0-9× ]{3,60}")
_LONG = re.compile(r"[0-9]{10}")
_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda above, below: above / below,
}
_MAX_EXPONENT = 20


def evaluate(text: str) -> Fraction | None:
    """The exact value of a written sum such as ``2^10`` or ``3 + 4``; ``None`` if it is none."""
    if not _SUM.fullmatch(text) or _LONG.search(text):
        return None
    plain = text.replace("×", "*").replace("^", "**").strip()
    try:
        tree = ast.parse(plain, mode="eval").body
        return _value(tree) if isinstance(tree, ast.BinOp) else None
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float()):
            return Fraction(str(node.value))
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand)
        case ast.BinOp(op=ast.Pow(), left=ast.Constant(value=int()), right=ast.Constant()):
            power = _value(node.right)
            if power.denominator == 1 and 0 <= power <= _MAX_EXPONENT:
                return _value(node.left) ** int(power)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
        case _:
            pass
    raise ValueError("no sum of plain numbers")
