"""Whether verl can be used here."""

from __future__ import annotations

from trainers import installed

VERSION = "0.9"
"""Tested with its releases; the hooks that are used here move between releases."""

_NEEDED = ("verl", "ray", "vllm", "TransferQueue")


def require() -> None:
    """Make sure of it.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of verl.
    """
    installed.require_release("verl", "verl", VERSION, _NEEDED)
