"""Names for things that users can add to: judges, sources, tools, agents.

A registry maps a name to a factory, or to the string ``"module:attribute"`` of one, which is
imported when it is first asked for. Packages add names without being imported at all, through
an entry-point group (``[project.entry-points."vt.judges"]`` and so on).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar, cast

from vt_env.errors import ConfigError, MissingExtra, PackageClash, unknown_name
from vt_env.packages import load_entry_point, load_object
from vt_env.specs import bound, option_names, parse_spec

T = TypeVar("T")
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
        self._factories: dict[str, Factory[T] | str | EntryPoint] = {**builtin}

    def register(self, name: str, factory: Factory[T] | str) -> None:
        """Add a factory, or the ``"module:attribute"`` of one.

        Raises:
            ConfigError: If the name is taken or not a plain word.
        """
        if not name or any(c in name for c in ":,= \t\n"):
            raise ConfigError(f"{self.what} name {name!r} must be a word without spaces, ':,='")
        if name in self.names():
            raise ConfigError(f"there is a {self.what} named {name!r} already; choose another name")
        self._factories[name] = (
            EntryPoint(name, factory, self.group) if isinstance(factory, str) else factory
        )

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
        if isinstance(factory, str | EntryPoint):
            named = factory if isinstance(factory, str) else factory.value
            try:
                found = (
                    load_object(factory) if isinstance(factory, str) else load_entry_point(factory)
                )
            except (MissingExtra, PackageClash):
                raise  # it says what to do
            except (ImportError, AttributeError) as error:
                raise ConfigError(
                    f"{self.what} {name!r} is registered as {named}, "
                    f"which cannot be imported: {error}"
                ) from error
            self._factories[name] = factory = cast("Factory[T]", found)
        return factory

    def make(self, name: str, /, *args: Any, **kwargs: Any) -> T:
        """Call the factory of ``name``; arguments it does not take are a ConfigError."""
        factory = self.get(name)
        try:
            inspect.signature(factory).bind(*args, **kwargs)
        except TypeError as error:
            raise ConfigError(
                f"{self.what} {name!r} does not take these arguments: {error}"
            ) from error
        return factory(*args, **kwargs)

    def from_spec(self, spec: str, **options: Any) -> T:
        """What a spec names, see :func:`vt_env.specs.parse_spec`.

        Raises:
            ConfigError: If the name is unknown; or on an argument that the factory does not take,
                lacks, gets twice, or takes only of another type.
        """
        name, _, _ = parse_spec(spec)
        factory = self.get(name)
        _, positional, written = parse_spec(spec, option_names(factory))
        if twice := sorted(written.keys() & options.keys()):
            raise ConfigError(f"{', '.join(twice)} stands in the spec of {name!r} and beside it")
        written |= options
        return self.make(name, **bound(self.what, name, factory, positional, written))

    def _entry_point(self, name: str) -> EntryPoint:
        for point in entry_points(group=self.group):
            if point.name == name:
                return point
        raise unknown_name(self.what, name, self.names())
