"""Whether TRL can be used here."""

from __future__ import annotations

from importlib.metadata import version

from trainers import installed
from vt_env.errors import ConfigError

VERSION = "1.16"
"""Tested with its releases; ``environment_factory`` may change with any other, says TRL."""


def require() -> None:
    """Make sure of it, without importing anything.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of TRL.
    """
    installed.require("trl", "trl", {"torch": "2.6", "transformers": "5.15", "trl": VERSION})
    found = version("trl")
    if not found.startswith(f"{VERSION}."):
        raise ConfigError(
            f"the trainer 'trl' works with TRL {VERSION}, and {found} is installed: "
            'pip install "visionthink-gym[trl]"'
        )
