"""What the wheel and the source distribution hold, beside what is in version control."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

PACKAGES = ("agents", "experiments", "trainers", "vt_env")


def wheel_faults(wheel: Path, tracked: set[str]) -> list[str]:
    """How a wheel differs from the packages' files.

    Args:
        wheel: The file.
        tracked: The paths that are in version control, from the repository's root.

    Returns:
        One line for each file that is missing or does not belong.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {name for name in tracked if name.partition("/")[0] in PACKAGES}
    return _differences("wheel", names, wanted)


def sdist_faults(sdist: Path, tracked: set[str]) -> list[str]:
    """How a source distribution differs from what is in version control; see wheel_faults."""
    with tarfile.open(sdist) as archive:
        files = [member.name for member in archive.getmembers() if not member.isdir()]
    names = {name.partition("/")[2] for name in files}
    made = {name for name in names if ".egg-info/" in name} | {"PKG-INFO", "setup.cfg"}
    return _differences("sdist", names - made, tracked)


def _differences(what: str, names: set[str], wanted: set[str]) -> list[str]:
    return [f"{what}: {name} is missing" for name in sorted(wanted - names)] + [
        f"{what}: {name} does not belong there" for name in sorted(names - wanted)
    ]
