"""Whether two expressions are equal: by shape first, then by value at points.

What equality keeps: the relations and their directions, brackets, the number of components, the
variables and their case.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vt_env.judges.arithmetic import Point, TooLarge, Value, is_same, points, value, variables
from vt_env.judges.math_parser import Node

_FLIPPED = str.maketrans("<>≤≥", "><≥≤")
_COLLECTIONS = ("relation", "tuple", "set", "list", "∪")


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
        scientific = node.kind == "*" and len(node.parts) == 2 and _is_power_of_ten(node.parts[1])
        if numbers > 1 and not scientific:
            return False
    return all(map(is_worked_out, node.parts))


def _is_number(node: Node) -> bool:
    if node.kind in ("-", "/", "^", "!", "binomial"):
        return all(map(_is_number, node.parts))
    return node.kind == "number"


def _is_power_of_ten(node: Node) -> bool:
    return node.kind == "^" and node.parts[0].value == 10 and _is_number(node.parts[1])
