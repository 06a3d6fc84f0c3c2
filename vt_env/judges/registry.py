"""Judges by name: built in, registered here, or brought by another package."""

from __future__ import annotations

from typing import Any

from vt_env.errors import ConfigError
from vt_env.judges.base import Judge
from vt_env.registry import Registry

JUDGES: Registry[Judge] = Registry(
    "judge",
    "vt.judges",
    {
        "exact": "vt_env.judges.basic:exact",
        "numeric": "vt_env.judges.basic:numeric",
        "mcq": "vt_env.judges.basic:mcq",
        "relaxed": "vt_env.judges.benchmarks:relaxed",
        "anls": "vt_env.judges.benchmarks:anls",
        "substring": "vt_env.judges.benchmarks:substring",
        "yesno": "vt_env.judges.benchmarks:yesno",
        "vqa": "vt_env.judges.vqa:vqa",
        "realworldqa": "vt_env.judges.letters:realworldqa",
        "mmbench": "vt_env.judges.letters:mmbench",
        "mathvista": "vt_env.judges.letters:mathvista",
        "mmmu": "vt_env.judges.mmmu:mmmu",
        "math": "vt_env.judges.math_judge:math",
        "auto": "vt_env.judges.auto:auto",
        "noisy": "vt_env.judges.noisy:noisy",
        "openai": "vt_env.judges.models.server:openai_judge",
        "cascade": "vt_env.judges.models.cascade:cascade_judge",
        "panel": "vt_env.judges.models.panel:panel_judge",
    },
)
register_judge = JUDGES.register


def make_judge(spec: str | Judge, **kwargs: Any) -> Judge:
    """A judge from ``NAME`` or ``NAME:ARGUMENT``; a judge is returned as it is.

    Args:
        spec: E.g. ``"auto"``, ``"relaxed:official"``, ``"numeric:0.01"``. What follows the colon
            is the factory's first argument, as text. Square brackets around a spec within a spec
            keep its commas and plus signs to itself: ``"noisy:[numeric:0.01],rate=0.2"``.
        **kwargs: Passed to the judge's factory.

    Raises:
        ConfigError: The name is unknown, or the judge does not take the arguments.
        MissingExtra: The judge needs a package that is not installed.
    """
    if not isinstance(spec, str):
        if kwargs:
            raise ConfigError(f"A ready judge takes no arguments, got {', '.join(sorted(kwargs))}.")
        return spec
    spec = spec.strip()
    if spec[:1] == "[" and spec[-1:] == "]":
        return make_judge(spec[1:-1], **kwargs)
    name, colon, argument = spec.partition(":")
    return JUDGES.make(name, *((argument,) if colon else ()), **kwargs)


def split_outside(spec: str, separator: str) -> list[str]:
    """The parts of a spec between separators that stand outside square brackets."""
    parts, depth = [""], 0
    for char in spec:
        depth += (char == "[") - (char == "]")
        if char == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts
