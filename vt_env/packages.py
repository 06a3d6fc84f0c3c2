"""This project's own packages, whatever else has their names.

``agents``, ``trainers`` and ``experiments`` are common names: a user's project may have folders of
these names, and other distributions install packages of them. Which of them Python imports depends
on ``sys.path``. :func:`load` imports ours in either case:

* where the plain name leads to ours, it is ``importlib.import_module``;
* else ours is found beside this package and imported as ``vt_env.packages.agents`` and so on,
  and the plain name stays the other's. Modules that are imported in this way say
  ``from agents.base import …`` like all others; an ``__import__`` of their own makes it ours.

The registries, the entry points of this distribution and the command ``vt`` go through it.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.metadata import EntryPoint, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from vt_env.errors import PackageClash

DISTRIBUTION = "visionthink-gym"
PACKAGES = ("agents", "trainers", "experiments")
"""Each imports those before it."""

ROOT = Path(__file__).resolve().parents[1]
_PREFIX = f"{__name__}."
_MARK = b"vt_env.packages"
__path__: list[str] = []
"""Makes this module a package, whose modules :class:`_Finder` finds."""


def load(name: str) -> ModuleType:
    """Import a module of this project.

    Args:
        name: Its usual name, e.g. ``trainers.local``.

    Raises:
        PackageClash: If another distribution wrote over the package's files.
    """
    top = name.partition(".")[0]
    return importlib.import_module(_full_name(name) if top in PACKAGES else name)


def load_entry_point(point: EntryPoint) -> Any:
    """What an entry point names: in this project's own packages if this distribution states it."""
    distribution = cast("Any", point).dist
    ours = distribution is not None and distribution.name == DISTRIBUTION
    return load_object(point.value) if ours else point.load()


def load_object(name: str) -> Any:
    """What ``module:attribute`` names in this project.

    Raises:
        PackageClash: See :func:`load`.
    """
    module, _, attribute = name.partition(":")
    return getattr(load(module), attribute)


def taken_by(package: str) -> str | None:
    """Where the plain name of a package of ours leads, if not to ours.

    Returns:
        A file or folder; ``None`` if the name is ours.
    """
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    places: Sequence[str] = list(getattr(module, "__path__", ()))
    if module is None and (spec := find_spec(package)) is not None:
        file, places = spec.origin, list(spec.submodule_search_locations or ())
    if file is not None and Path(file).resolve() == _file(package):
        return None
    return file or next(iter(places), None) or ("another module" if module else None)


def require_plain_name(package: str, what: str) -> None:
    """Make sure that processes which search this folder first, as Ray's do, import a package.

    Args:
        package: One of ours; those that it imports are looked at too.
        what: Who starts such processes, e.g. ``"the trainer 'verl'"``.

    Raises:
        PackageClash: If a package of this folder has its name.
    """
    for name in _needed(package):
        spec = PathFinder.find_spec(name, [str(Path.cwd()), *sys.path])
        if spec is None or (spec.origin and Path(spec.origin).resolve() == _file(name)):
            continue
        place = spec.origin or next(iter(spec.submodule_search_locations or ()), name)
        raise PackageClash(
            f"{what} starts processes that search {Path.cwd()} first, and would find {place} in "
            f"place of {DISTRIBUTION}'s {name!r}: start it in another folder"
        )


def overwritten(package: str) -> bool:
    """Whether the file of a package of ours is another distribution's, or gone."""
    return not _file(package).is_file() or _MARK not in _file(package).read_bytes()


def shadowed_files(package: str) -> list[Path]:
    """Modules in a user's folders of a package's name, which ours of the same name hide."""
    if taken_by(package):
        return []
    ours = {entry.stem for entry in (ROOT / package).iterdir()}
    return [
        entry
        for folder in _plain_folders(package)
        for entry in sorted(folder.iterdir())
        if entry.suffix in ("", ".py") and entry.stem in ours and not entry.name.startswith("_")
    ]


def settle(name: str) -> None:
    """What each of the packages does first: look whether the names that it needs are ours.

    A folder without ``__init__.py`` of a user's, which Python would hide, is searched after ours,
    and a name that is looked for in ours but belongs to another package gets an error that says so.

    Args:
        name: The package's ``__name__``.

    Raises:
        PackageClash: If a package that it imports is another's.
    """
    if not name.startswith(_PREFIX):
        for needed in _needed(name)[:-1]:
            if place := taken_by(needed):
                raise PackageClash(
                    f"{name!r} of {DISTRIBUTION} imports its own {needed!r}, and here that name is "
                    f"{place}: use vt_env.packages.load({name!r}), which imports both from "
                    f"{ROOT}, or start Python where that folder is not on sys.path"
                )
        sys.modules[name].__path__.extend(map(str, _plain_folders(name)))

    def missing(attribute: str) -> Any:
        module = attribute.startswith("_") or find_spec(f"{name}.{attribute}")
        if not module and (others := _others(name)):
            raise PackageClash(
                f"{attribute!r} is not in {name!r} of {DISTRIBUTION} ({ROOT / name}); "
                f"{' and '.join(others)} has a package of that name too: install one of the two in "
                "an environment of its own"
            )
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    vars(sys.modules[name])["__getattr__"] = missing


def _full_name(name: str) -> str:
    """The name under which a module of ours can be imported here."""
    return _prefix(name.partition(".")[0]) + name


@cache
def _prefix(top: str) -> str:
    """What goes before the names of a package's modules; decided when it is first imported."""
    for package in _needed(top):
        if overwritten(package):
            others = " and ".join(other_distributions(package)) or "another distribution"
            raise PackageClash(
                f"{_file(package)} is not {DISTRIBUTION}'s any more: {others} installed a "
                f"package named {package!r} over it; install the two in environments of their own"
            )
    return _PREFIX if any(map(taken_by, _needed(top))) else ""


def _needed(package: str) -> tuple[str, ...]:
    """A package and those that it imports."""
    return PACKAGES[: PACKAGES.index(package) + 1]


def _file(package: str) -> Path:
    return ROOT / package / "__init__.py"


def _plain_folders(package: str) -> list[Path]:
    """Folders on the path that have a package's name and no ``__init__.py``."""
    folders = [Path(entry or ".").resolve() / package for entry in dict.fromkeys(sys.path)]
    return [f for f in folders if f.is_dir() and not (f / "__init__.py").exists()]


def other_distributions(package: str) -> list[str]:
    """Other distributions that install a package of that name."""
    installed = packages_distributions().get(package, ())
    return sorted({name for name in installed if name != DISTRIBUTION})


@cache
def _others(package: str) -> list[str]:
    """Other distributions with a package of that name, and other places on the path."""
    places = [Path(entry or ".").resolve() / package for entry in dict.fromkeys(sys.path)]
    files = [place / "__init__.py" for place in places] + [p.with_suffix(".py") for p in places]
    found = [str(f) for f in files if f.is_file() and f.resolve() != _file(package)]
    return other_distributions(package) + found


class _Loader(SourceFileLoader):
    """Executes a module of ours so that what it imports is ours."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds ``vt_env.packages.agents.…`` where our ``agents`` is."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.removeprefix(_PREFIX).partition(".")[0]
        if not fullname.startswith(_PREFIX) or top not in PACKAGES:
            return None
        spec = PathFinder.find_spec(fullname, [str(ROOT)] if path is __path__ else path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, str(spec.loader.path))
        return spec


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,
    locals: Mapping[str, object] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """``__import__`` in which the plain names of our packages are ours."""
    top = name.partition(".")[0]
    if level or top not in PACKAGES:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    full = _full_name(name)
    if fromlist:
        return builtins.__import__(full, globals, locals, fromlist)
    importlib.import_module(full)
    return sys.modules[full.removesuffix(name) + top]  # `import agents.base` binds `agents`


sys.meta_path.insert(0, _Finder())
