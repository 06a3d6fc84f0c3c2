"""Options of an agent's spec, checked against what its factory takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from vt_env.errors import ConfigError, unknown_name

_TYPES = {
    "bool": (bool, "true or false"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "text"),
}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def checked(name: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each of the type that its parameter is declared with.

    Args:
        name: The agent's.
        factory: A class, whose ``**settings`` are those of its base, or a function.
        options: From a spec.

    Raises:
        ConfigError: On an option that it does not take, or a value of another type. No value is
            repeated.
    """
    known, complete = _parameters(factory)
    made: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known and complete:
            raise unknown_name(f"option of the agent {name!r}", key, known)
        made[key] = _of_type(name, key, value, known.get(key))
    return made


def _parameters(factory: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """What can be given by name, and whether that is all."""
    functions: list[Any] = [factory]
    if isinstance(factory, type):
        functions = [vars(k)["__init__"] for k in factory.__mro__[:-1] if "__init__" in vars(k)]
    known: dict[str, inspect.Parameter] = {}
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        for parameter in parameters:
            if parameter.kind in _NAMED and parameter.name != "self":
                known.setdefault(parameter.name, parameter)
        if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return known, True
    return known, not functions


def _of_type(name: str, key: str, value: Any, parameter: inspect.Parameter | None) -> Any:
    annotation = parameter.annotation if parameter else None
    kind, words = _TYPES.get(str(getattr(annotation, "__name__", annotation)), (None, ""))
    if kind is None or (kind is type(value)):
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind is str:
        return str(value)
    raise ConfigError(f"the agent {name!r} takes {words} as {key}")


def takes(factory: Callable[..., Any], option: str) -> bool:
    """Whether a factory has an option of that name."""
    return option in _parameters(factory)[0]
