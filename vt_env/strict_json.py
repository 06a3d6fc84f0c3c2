"""JSON read strictly: no key twice, every number finite and exact, no bottomless nesting."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, cast

_DEPTH = 64
_LARGEST_WHOLE = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly (RFC 8259, section 6)."""


def strict_json(text: str) -> Any:
    """The value that a text spells.

    Raises:
        ValueError: If it spells none, or what is named above; the message says what.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_exact,
        )
        _refuse_depth(value)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; for ``json.loads(…, object_pairs_hook=unique_keys)``.

    Raises:
        ValueError: If a key appears twice, so that one of its values would be lost.
    """
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key appears twice")
    return made


def _refuse_depth(value: Any) -> None:
    """Refuse what is nested so deeply that versions of Python would disagree about it."""
    level = [value]
    for _ in range(_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
    if level:
        raise RecursionError


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value).values()
    return cast("list[Any]", value) if isinstance(value, list) else ()


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:20]} is too large")
    return number


def _exact(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST_WHOLE:
        raise ValueError(f"the number {digits[:20]} is beyond {_LARGEST_WHOLE}")
    return int(digits)
