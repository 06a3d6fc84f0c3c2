"""Names for things that users can add to: judges, sources, tools, agents.

A registry maps a name to a factory, or to the string ``"module:attribute"`` of one, which is
imported when it is first asked for. Packages add names without being imported at all, through
an entry-point group (``[project.entry-points."vt.judges"]`` and so on).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from vt_env.errors import ConfigError, MissingExtra, unknown_name

T = TypeVar("T")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_DECIMAL = re.compile(r"-?[0-9]*\.[0-9]+")
Factory = Callable[..., T]


class Registry(Generic[T]):
    """A table of factories, filled by ``register`` and by entry points.

    Args:
        what: What is registered, for messages, e.g. ``"judge"``.
        group: The entry-point group, e.g. ``"vt.judges"``.
        builtin: The names that are always there.
    """

    def __init__(self, what: str, group: str, builtin: dict[str, Factory[T] | str]) -> None:
        self.what = what
        self.group = group
        self._factories = dict(builtin)

    def register(self, name: str, factory: Factory[T] | str) -> None:
        """Add a factory, or the ``"module:attribute"`` of one.

        Raises:
            ConfigError: If the name is taken or not a plain word.
        """
        if not name or any(c in name for c in ":,= \t\n"):
            raise ConfigError(f"{self.what} name {name!r} must be a word without spaces, ':,='")
        if name in self.names():
            raise ConfigError(f"there is a {self.what} named {name!r} already; choose another name")
        self._factories[name] = factory

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted({*self._factories, *(p.name for p in entry_points(group=self.group))})

    def get(self, name: str) -> Factory[T]:
        """The factory of a name.

        Raises:
            ConfigError: If the name is unknown (with the closest match) or cannot be imported.
            MissingExtra: If what it names needs a package that is not installed, and says so.
        """
        factory = self._factories.get(name) or self._entry_point(name)
        if isinstance(factory, str):
            factory = EntryPoint(name, factory, self.group)
        if isinstance(factory, EntryPoint):
            try:
                self._factories[name] = factory = cast("Factory[T]", factory.load())
            except MissingExtra:
                raise  # it says what to install
            except (ImportError, AttributeError) as error:
                raise ConfigError(
                    f"{self.what} {name!r} is registered as {factory.value}, "
                    f"which cannot be imported: {error}"
                ) from error
        return factory

    def make(self, name: str, *args: Any, **kwargs: Any) -> T:
        """Call the factory of ``name``; arguments it does not take are a ConfigError."""
        factory = self.get(name)
        try:
            return factory(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # raised inside the factory: a bug, not a wrong argument
            raise ConfigError(
                f"{self.what} {name!r} does not take these arguments: {error}"
            ) from error

    def _entry_point(self, name: str) -> EntryPoint:
        for point in entry_points(group=self.group):
            if point.name == name:
                return point
        raise unknown_name(self.what, name, self.names())


def parse_spec(spec: str) -> tuple[str, list[str], dict[str, Any]]:
    """Read ``NAME[:ARG,…,key=value,…]``, the form in which the command line names things.

    Values that look like an integer, a float or ``true``/``false`` become one.

    Returns:
        The name, positional arguments, and keyword arguments.

    Raises:
        ConfigError: If a key is empty or given twice.
    """
    name, _, rest = spec.partition(":")
    positional: list[str] = []
    keywords: dict[str, Any] = {}
    for number, part in enumerate(filter(None, rest.split(",")), 1):
        key, equals, value = part.partition("=")
        if not equals:
            positional.append(part)
            continue
        key = key.strip().replace("-", "_")
        if not key.isidentifier() or key in keywords:
            raise ConfigError(  # without the value, which may be a secret in the wrong place
                f"argument {number} of {name.strip()!r}: expected key=value, each key once"
            )
        keywords[key] = spec_value(value.strip())
    return name.strip(), positional, keywords


def spec_value(text: str) -> Any:
    """A value of a spec: an integer, a decimal number, true or false, else text (also ``007``)."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    return {"true": True, "false": False}.get(text.lower(), text)
