"""``python -m vt_env.doctor``: what is installed here, and what stands in its way.

Looks at the import names of the packages, at the command ``vt`` and at what this distribution and
its extras need. Imports none of them.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from vt_env.packages import (
    DISTRIBUTION,
    PACKAGES,
    ROOT,
    other_distributions,
    overwritten,
    shadowed_files,
    taken_by,
)

OWN_ENVIRONMENT = "install the two in environments of their own"
PYTHONS = {"openrlhf": ((3, 11), (3, 12))}
"""The first and the last Python for which what an extra asks for is published."""
_PYTHON = platform.python_version()
SHOWN = 3
"""Faults of one extra."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``problem`` is to be mended, ``note`` is worth knowing.
        text: What was found, and what to do.
    """

    level: Literal["ok", "note", "problem"]
    text: str


def examine() -> list[Finding]:
    """Look at everything."""
    try:
        ours = distribution(DISTRIBUTION)
    except PackageNotFoundError:
        missing = f"{DISTRIBUTION} is not installed, its files at {ROOT} are only on sys.path"
        return [
            Finding("problem", f"{missing}: pip install --editable {ROOT}"),
            *_names(),
        ]
    return [*_names(), *_command(), *_needs(ours), *_extras(ours)]


def _names() -> Iterator[Finding]:
    """Whether the packages' names lead to ours."""
    for name in PACKAGES:
        others = " and ".join(other_distributions(name))
        if overwritten(name):
            yield Finding(
                "problem",
                f"{name}: {others or 'another distribution'} installed a package of this name over "
                f"ours in {ROOT / name}: {OWN_ENVIRONMENT}, and reinstall {DISTRIBUTION}",
            )
        elif others:
            yield Finding(
                "problem", f"{name}: {others} has a package of this name too: {OWN_ENVIRONMENT}"
            )
        elif place := taken_by(name):
            yield Finding(
                "note",
                f"{name}: from here this name is {place}; vt and gym.make use ours all the same, "
                f"and Python code gets ours by vt_env.packages.load({name!r})",
            )
        else:
            yield Finding("ok", f"{name}: ours, {ROOT / name}")
        for file in shadowed_files(name):
            yield Finding(
                "note",
                f"{name}: {file} is hidden by ours of the same name; an empty __init__.py beside "
                f"it makes {name} yours",
            )


def _command() -> Iterator[Finding]:
    """Whether ``vt`` starts this project's command."""
    found = shutil.which("vt")
    if found is None:
        yield Finding("note", "vt: not on PATH; python -m vt_env is the same command")
    elif b"vt_env" not in Path(found).read_bytes()[:4096]:
        yield Finding("note", f"vt: {found} is another program; use python -m vt_env")
    else:
        yield Finding("ok", f"vt: {found}")


def _needs(ours: Distribution) -> Iterator[Finding]:
    """What everybody needs."""
    for fault in _faults(ours, ""):
        yield Finding("problem", f'{fault}: pip install --upgrade "{DISTRIBUTION}"')


def _extras(ours: Distribution) -> Iterator[Finding]:
    """Which extras are complete here, and what the others lack."""
    for extra in sorted(ours.metadata.get_all("Provides-Extra") or ()):
        first, last = PYTHONS.get(extra, ((0, 0), (99, 0)))
        if not first <= sys.version_info[:2] <= last:
            fits = " to ".join(f"{major}.{minor}" for major, minor in (first, last))
            yield Finding("note", f"[{extra}]: for Python {fits}, this is {_PYTHON}")
        elif faults := _faults(ours, extra):
            more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
            yield Finding("note", f"[{extra}]: {'; '.join(faults[:SHOWN])}{more}")
        else:
            yield Finding("ok", f"[{extra}]: complete")


def _faults(ours: Distribution, extra: str) -> list[str]:
    """What is missing or has the wrong version, of all that an extra brings; ``""`` is none."""
    faults: list[str] = []
    queue = [(DISTRIBUTION, needed) for needed in _requirements(ours, extra)]
    seen: set[str] = set()
    for by, needed in queue:  # grows
        if str(needed) in seen or needed.name == DISTRIBUTION:
            continue
        seen.add(str(needed))
        needing = "" if by == DISTRIBUTION else f" ({by} needs it)"
        try:
            found = distribution(needed.name)
        except PackageNotFoundError:
            faults.append(f"{needed.name} is missing{needing}")
            continue
        if not needed.specifier.contains(found.version, prereleases=True):
            faults.append(f"{needed.name} {found.version} is not {needed.specifier}{needing}")
        for inner in ("", *sorted(needed.extras)):
            queue += [(needed.name, further) for further in _requirements(found, inner)]
    return list(dict.fromkeys(faults))


def _requirements(installed: Distribution, extra: str) -> list[Requirement]:
    """What an extra of a distribution adds, by itself or by others of it; ``""`` is no extra."""

    def applies(needed: Requirement, extra: str) -> bool:
        return needed.marker is None or needed.marker.evaluate({"extra": extra})

    found: list[Requirement] = []
    for needed in map(Requirement, installed.requires or ()):
        if not applies(needed, extra) or (extra and applies(needed, "")):
            continue
        found.append(needed)
        if needed.name == installed.name:
            found += [r for other in needed.extras for r in _requirements(installed, other)]
    return found


def main() -> int:
    """Print what was found.

    Returns:
        1 if there is a problem, else 0.
    """
    from vt_env import __version__

    print(f"{DISTRIBUTION} {__version__}, Python {_PYTHON}, {platform.platform()}")  # noqa: T201
    found = examine()
    for finding in found:
        print(f"{finding.level:>7}  {finding.text}")  # noqa: T201
    return int(any(finding.level == "problem" for finding in found))


if __name__ == "__main__":
    sys.exit(main())
