"""Specs: the text in which the command line names things, and the arguments of their factories."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from vt_env.errors import ConfigError, unknown_name

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?([0-9]*\.[0-9]+([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)")
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
}
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_LONGEST_SHOWN = 20


def parse_spec(
    spec: str, known: Collection[str] | None = ()
) -> tuple[str, list[str], dict[str, Any]]:
    """Read ``NAME[:ARG,…,key=value,…]``; where there is no argument a comma may be the colon.

    Options are the ``key=value`` pieces at the end. So that a path may have commas and equals
    signs, a piece whose value has a slash is an option only if its key is known; and what stands
    between double quotes behind the colon is one argument.

    Args:
        spec: The text.
        known: Names of options, where they are known; ``None``: any name is one.

    Returns:
        The name, positional arguments as text, and keyword arguments; of those, values that look
        like a number or ``true``/``false`` become one.

    Raises:
        ConfigError: If a key is given twice, or a quotation mark is not closed.
    """
    name = re.split("[:,]", spec, maxsplit=1)[0]
    name, rest = name.strip(), spec[len(name) + 1 :].strip()
    quoted: list[str] = []
    if rest.startswith('"'):
        inside, closed, rest = rest[1:].partition('"')
        if not closed or (rest and not rest.startswith(",")):
            raise ConfigError(f'the argument of {name!r}: expected "…" and then options')
        quoted, rest = [inside], rest[1:]
    pieces = rest.split(",") if rest else []
    keywords: dict[str, Any] = {}
    while len(pieces) > (not name) and (option := _option(pieces[-1], known)):
        key, value = option
        if key in keywords:  # without the value, which may be a secret in the wrong place
            raise ConfigError(f"the spec of {name!r} gives {key} twice; each key once")
        keywords[key] = spec_value(value)
        pieces.pop()
    positional = quoted + (pieces if any(pieces) else [])
    return name, positional, dict(reversed(keywords.items()))


def _option(piece: str, known: Collection[str] | None) -> tuple[str, str] | None:
    """Key and value, if a piece of a spec is an option."""
    key, equals, value = piece.partition("=")
    key = key.strip().replace("-", "_")
    is_path = "/" in value and known is not None and key not in known
    return (key, value.strip()) if equals and key.isidentifier() and not is_path else None


def split_outside(spec: str, separator: str) -> list[str]:
    """The parts of a spec between separators that stand outside square brackets."""
    parts, depth = [""], 0
    for char in spec:
        depth += (char == "[") - (char == "]")
        if char == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def spec_value(text: str) -> Any:
    """A value of a spec: an integer, a decimal number, true or false, else text (also ``007``)."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return {"true": True, "false": False}.get(text.lower(), text)


def bound(
    what: str,
    name: str,
    factory: Callable[..., Any],
    positional: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """All arguments by name, each of the type that its parameter is declared with.

    Args:
        what: What is made, for messages, e.g. ``agent``.
        name: Its name.
        factory: See :func:`parameters_of`.
        positional: From a spec, in order, as text. Where the factory has one place, and that for
            a path, they are one argument whose commas are its own.
        options: From a spec, by name.

    Raises:
        ConfigError: On an argument that it does not take, one that it lacks, one given twice, or
            a value of another type. No long value is repeated, since it may be a secret.
    """
    whose = f"{what} {name!r}"
    known, complete = parameters_of(factory)
    places = [p for p in known.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    if len(positional) > 1 and len(places) == 1 and "Path" in _types(places[0]):
        positional = [",".join(positional)]
    if len(positional) > len(places):
        raise ConfigError(
            f"the {whose} takes {', '.join(p.name for p in places) or 'nothing'} without a name, "
            f"got {len(positional)} values; write others as key=value, and a path with commas in "
            "double quotes"
        )
    given = {p.name: text for p, text in zip(places, positional, strict=False)}
    if twice := sorted(given.keys() & options.keys()):
        raise ConfigError(f"the {whose} got {twice[0]} twice: without its name and with it")
    made = {key: _typed(whose, known[key], text, text) for key, text in given.items()}
    made |= checked(whose, factory, options)
    needed = [p.name for p in known.values() if p.default is p.empty]
    if complete and (lacking := [key for key in needed if key not in made]):
        written = ",".join(map(str.upper, lacking))
        raise ConfigError(f"the {whose} needs {lacking[0]}: write {name}:{written}")
    return made


def checked(whose: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, each of the type that its parameter is declared with.

    Args:
        whose: Options, for messages, e.g. ``agent 'tiny'``.
        factory: See :func:`parameters_of`.
        options: By name.

    Raises:
        ConfigError: On an option that it does not take, or a value of another type.
    """
    known, complete = parameters_of(factory)
    made: dict[str, Any] = {}
    for key, value in options.items():
        if key not in known and complete:
            raise unknown_name(f"option of the {whose}", key, known)
        made[key] = _typed(whose, known[key], value) if key in known else value
    return made


def parameters_of(factory: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """What a factory can be given by name, and whether that is all.

    Args:
        factory: A function, or a class, whose ``**settings`` are those of its base, or the keys of
            the ``TypedDict`` that they are declared with; these check their values themselves.
    """
    functions: list[Any] = [factory]
    if isinstance(factory, type):
        functions = [vars(k)["__init__"] for k in factory.__mro__[:-1] if "__init__" in vars(k)]
    known: dict[str, inspect.Parameter] = {}
    for function in functions:
        rest = ""
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in _NAMED and parameter.name != "self":
                known.setdefault(parameter.name, parameter)
            elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
                rest = str(parameter.annotation)
        if table := re.fullmatch(r"Unpack\[(\w+)\]", rest):
            for key in function.__globals__[table[1]].__annotations__:
                anything = inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None)
                known.setdefault(key, anything)
        if not rest or table:
            return known, True
    return known, not functions


def option_names(factory: Callable[..., Any]) -> Collection[str] | None:
    """What a factory can be given by name; ``None`` where that can be anything."""
    known, complete = parameters_of(factory)
    return known if complete else None


def takes(factory: Callable[..., Any], option: str) -> bool:
    """Whether a factory has an option of that name."""
    return option in parameters_of(factory)[0]


def _typed(whose: str, parameter: inspect.Parameter, value: Any, text: str | None = None) -> Any:
    """A value as its parameter is declared; ``text`` is how it was written, where that is known."""
    types = _types(parameter)
    kind = next((kind for kind in ("str", "float", "int", "bool") if kind in types), "")
    if kind == "str":
        return text or (str(value) if isinstance(value, int | float) else value)
    read = value if text is None else spec_value(text)
    if kind == "" or type(read).__name__ == kind or (read is None and "None" in types):
        return read
    if kind == "float" and type(read) is int:
        return float(read)
    shown = repr(value) if len(str(value)) <= _LONGEST_SHOWN else f"{len(str(value))} characters"
    raise ConfigError(f"the {whose} takes {_WORDS[kind]} as {parameter.name}, got {shown}")


def _types(parameter: inspect.Parameter) -> list[str]:
    """The types that a parameter is declared with, by name."""
    annotation = parameter.annotation
    written = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return [part.strip() for part in str(written).split("|")]
