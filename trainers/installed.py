"""Whether what a trainer needs is installed, and new enough."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from vt_env.errors import ConfigError, MissingExtra


def require(trainer: str, extra: str, least: Mapping[str, str]) -> None:
    """Make sure of it, without importing anything.

    Args:
        trainer: Who needs it.
        extra: Which extra of this project brings it.
        least: The least version of each package, e.g. ``{"torch": "2.6"}``.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If one is too old.
    """
    for package, needed in least.items():
        try:
            found = version(package)
        except PackageNotFoundError as error:
            raise MissingExtra(package, extra, f"the trainer {trainer!r}") from error
        if _release(found) < _release(needed):
            raise ConfigError(
                f"the trainer {trainer!r} works with {package} {needed} or newer, and {found} is "
                f'installed: pip install "visionthink-gym[{extra}]"'
            )


def _release(written: str) -> tuple[int, ...]:
    """``5.15.0rc1+cpu`` as (5, 15, 0)."""
    leading = re.match(r"\d+(\.\d+)*", written)
    return tuple(int(part) for part in leading[0].split(".")) if leading else ()
