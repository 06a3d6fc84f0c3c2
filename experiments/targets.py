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


def numbers_of(
    modes: Mapping[str, Mapping[str, Any]], main: str = "visionthink"
) -> dict[str, float | None]:
    """The numbers of an evaluation in several modes that targets may name.

    Returns:
        ``accuracy``, ``token_ratio``, ``request_rate`` and ``request_rate/KIND`` of the main mode;
        of every other ``MODE accuracy``, and ``accuracy over MODE``, by how much the main one is
        above it.
    """
    ours = modes[main]
    made = {key: ours[key] for key in ("accuracy", "token_ratio", "request_rate")}
    made |= {f"request_rate/{k}": v["request_rate"] for k, v in ours["by_kind"].items()}
    for name, other in modes.items():
        if name != main:
            accuracy = other["accuracy"]
            known = None not in (accuracy, ours["accuracy"])
            made[f"{name} accuracy"] = accuracy
            made[f"accuracy over {name}"] = ours["accuracy"] - accuracy if known else None
    return made
