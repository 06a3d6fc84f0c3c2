"""Whether OpenRLHF can be used here."""

from __future__ import annotations

from trainers import installed

VERSION = "0.11"
"""Tested with its releases; the driver extends classes that other ones may have changed."""

_NEEDED = ("openrlhf", "ray", "vllm", "deepspeed")


def missing() -> str | None:
    """The first package that is needed and not installed; nothing is imported."""
    return installed.missing(_NEEDED)


def require() -> None:
    """Make sure of it.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of OpenRLHF.
    """
    installed.require_release("openrlhf", "OpenRLHF", VERSION, _NEEDED)
