"""The protocols that are shipped, each a TOML file of this folder.

A file has the settings of :func:`vt_env.protocol.make_protocol`: ``prompt`` is a name or a table of
texts, ``tools`` are names or tables with a ``kind``, ``grammar`` is a table of a
:class:`~vt_env.grammars.Grammar`'s settings. What stands under ``[evaluation]`` takes the place of
the rest when a policy is measured and not trained; its tables of tools change single settings of
those in the same place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from vt_env.errors import ConfigError, unknown_name

STAGES = ("training", "evaluation")


def preset_names() -> list[str]:
    """All names, sorted."""
    files = (file.name for file in resources.files(__name__).iterdir())
    return sorted(name[:-5] for name in files if name.endswith(".toml"))


def preset(name: str, stage: str = "training") -> dict[str, Any]:
    """The settings of a shipped protocol.

    Args:
        name: One of :func:`preset_names`.
        stage: One of :data:`STAGES`.

    Raises:
        ConfigError: On another name or stage.
    """
    if name not in (names := preset_names()):
        raise unknown_name("protocol", name, names)
    if stage not in STAGES:
        raise unknown_name("stage", stage, STAGES)
    settings = dict(_read(name))
    measured: dict[str, Any] = settings.pop("evaluation", {})
    if stage == "training":
        return settings
    if "tools" in measured:
        measured = {**measured, "tools": changed_tools(settings["tools"], measured["tools"])}
    return {**settings, **measured}


def changed_tools(shipped: Sequence[Any], given: Sequence[Any]) -> Sequence[Any]:
    """Tools in place of a preset's: tables without a ``kind`` change those in the same place.

    Raises:
        ConfigError: If there is no tool in that place, or it has no settings.
    """
    made: list[Any] = []
    for place, tool in enumerate(given):
        if isinstance(tool, Mapping) and "kind" not in tool:
            if place >= len(shipped) or not isinstance(shipped[place], Mapping):
                raise ConfigError(f"tool {place + 1} changes settings, so it needs a kind: {tool}")
            made.append({**shipped[place], **tool})
        else:
            made.append(tool)
    return made


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__name__).joinpath(f"{name}.toml").read_text("utf-8"))
