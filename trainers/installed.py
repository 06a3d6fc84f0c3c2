"""Whether what a trainer needs is installed, and new enough."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def _release(written: str) -> tuple[int, ...]:
    """``5.15.0rc1+cpu`` as (5, 15, 0)."""
    leading = re.match(r"\d+(\.\d+)*", written)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
