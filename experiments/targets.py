"""Targets: bounds of numbers, set beforehand in a data file, and what of them was missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vt_env import ConfigError


@dataclass(frozen=True, slots=True)
class Targets:
    """Bounds of numbers by their names.

    Attributes:
        at_least: The least that a number has to be.
        at_most: The most that it may be.
    """

    at_least: Mapping[str, Any] = field(default_factory=dict[str, Any])
    at_most: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        for name, bound in {**self.at_least, **self.at_most}.items():
            if type(bound) not in (int, float):
                raise ConfigError(f"the target of {name!r} must be a number, got {bound!r}")

    @property
    def names(self) -> list[str]:
        """The numbers that have a target."""
        return [*self.at_least, *self.at_most]

    def missed(self, numbers: Mapping[str, float | None]) -> list[str]:
        """What was missed, in words; nothing if all were reached.

        Args:
            numbers: By name. One that is missing, or unknown, is missed.
        """
        found: list[str] = []
        for bounds, sign in ((self.at_least, 1), (self.at_most, -1)):
            for name, bound in bounds.items():
                value = numbers.get(name)
                word = "less" if sign > 0 else "more"
                if value is None:
                    found.append(f"{name} is not known")
                elif sign * (value - bound) < 0:
                    found.append(f"{name} {value:.3f}, {word} than {bound:g}")
        return found


def numbers_of(policies: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """The numbers of compared policies that targets may name.

    Args:
        policies: Results as in ``result.json``, by the policies' names.

    Returns:
        ``POLICY accuracy``, ``POLICY tokens`` (visual tokens over those of every original once),
        ``POLICY asks``, ``POLICY asks/KIND`` and ``POLICY accuracy over OTHER``, by how much it is
        above another's.
    """
    made: dict[str, float | None] = {}
    for name, one in policies.items():
        made[f"{name} accuracy"] = one["accuracy"]
        made[f"{name} tokens"] = one["token_ratio"]
        made[f"{name} asks"] = one["request_rate"]
        for kind, part in one["by_kind"].items():
            made[f"{name} asks/{kind}"] = part["request_rate"]
        for other, compared in policies.items():
            known = None not in (one["accuracy"], compared["accuracy"])
            if known and other != name:
                made[f"{name} accuracy over {other}"] = one["accuracy"] - compared["accuracy"]
    return made
