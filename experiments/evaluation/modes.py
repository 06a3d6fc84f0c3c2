"""Modes: the ways in which one agent plays the same samples.

==================  ===========================================================================
low                 the small picture, no tool (protocol ``low``)
full                the original at once, no tool (protocol ``general``)
visionthink         the small picture first; the agent decides
always-request      as ``visionthink``, but it always asks
random@RATE         it asks with a probability; ``random@trained``: as often as ``visionthink`` did
size-threshold      it asks where the small picture has 100,000 pixels or more (or @PIXELS)
==================  ===========================================================================

The last three force the first decision of the same agent, which says all the rest; see
:mod:`agents.steering`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents import Agent, Conversation, Steered
from agents.steering import Rule
from vt_env import ConfigError
from vt_env.errors import unknown_name
from vt_env.protocol import Protocol

PROTOCOLS: Mapping[str, str] = {"low": "low", "full": "general"}
"""Modes that are a protocol without a tool."""

PIXELS = 100_000
TRAINED = "random@trained"
_NAMES = ("low", "full", "visionthink", "always-request", "random@RATE", "size-threshold")
_NO_TOOL = ("tools", "max_turns")


def at_random(rate: float) -> Rule:
    """Asks with a probability.

    The coin is the rollout's own, and no draw that the agent makes: an agent that decides by its
    own draws would otherwise be told to do what it does by itself.
    """

    def heads(conversation: Conversation) -> bool:
        (apart,) = conversation.rng.bit_generator.seed_seq.spawn(1)  # type: ignore[attr-defined]
        return bool(np.random.default_rng(apart).random() < rate)

    return heads


def from_pixels(pixels: int) -> Rule:
    """Asks where the first view has at least so many pixels."""

    def large(conversation: Conversation) -> bool:
        width, height = conversation.images[0].size
        return width * height >= pixels

    return large


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to play. Made by :func:`parse_mode`.

    Attributes:
        name: As in the module's table; empty for an agent that plays the task as it stands.
        rate: Of ``random@RATE``; ``None`` while that of ``random@trained`` is not known.
        pixels: Of ``size-threshold``.
    """

    name: str = ""
    rate: float | None = None
    pixels: int = PIXELS

    @property
    def forced(self) -> bool:
        """Whether the first decision is made for the agent."""
        return self.name not in ("", "visionthink", *PROTOCOLS)

    @property
    def folder(self) -> str:
        """A folder's name."""
        return self.name.replace("@", "-")

    def trained(self, rate: float) -> Mode:
        """``random@trained`` once the rate is known."""
        return replace(self, rate=rate)

    def protocol(self, given: str) -> str:
        """The protocol's name; that of the task where the mode has none of its own."""
        return PROTOCOLS.get(self.name, given)

    def rules(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What replaces the protocol's own rules.

        A mode without a tool needs neither tools nor turns, and one that shows the original no
        factor.
        """
        left = {"full": (*_NO_TOOL, "factor"), "low": _NO_TOOL}.get(self.name, ())
        return {key: value for key, value in given.items() if key not in left}

    def check(self, rules: Protocol) -> None:
        """Make sure that the mode can be played by these rules.

        Raises:
            ConfigError: If they have not the tool that it asks with.
        """
        if self.forced and rules.tool("resize_image") is None:
            raise ConfigError(f"the mode {self.name!r} asks by resize_image, which is no tool here")

    def player(self, agent: Agent, plain: Protocol) -> Agent:
        """The agent as it plays in this mode.

        Args:
            agent: Who plays.
            plain: The rules of a conversation without a tool.

        Raises:
            ConfigError: If the rate is not known.
        """
        return Steered(agent, self._rule(), plain) if self.forced else agent

    def _rule(self) -> Rule:
        if self.name == "always-request":
            return lambda _: True
        if self.name.startswith("size-threshold"):
            return from_pixels(self.pixels)
        if self.rate is None:
            raise ConfigError(f"the rate of {self.name!r} is not known")
        return at_random(self.rate)


PLAIN = Mode("low")
"""How a direct answer is asked for where an agent is not steerable."""


def parse_mode(text: str) -> Mode:
    """A mode from its name.

    Raises:
        ConfigError: On an unknown name, or a rate or a number of pixels out of range.
    """
    kind, at, value = text.partition("@")
    if kind == "size-threshold":
        if at and (not value.isdecimal() or int(value) < 1):
            raise ConfigError(f"size-threshold@PIXELS takes a whole number from 1 up, got {text!r}")
        return Mode(text, pixels=int(value or PIXELS))
    if kind == "random" and at:
        return Mode(text, rate=None if text == TRAINED else _rate(text, value))
    if at or kind not in _NAMES:
        raise unknown_name("mode", text, (*_NAMES, TRAINED))
    return Mode(text)


def _rate(text: str, value: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ConfigError(f"random@RATE takes a number from 0 to 1, or 'trained', got {text!r}")
    return rate


def parse_modes(texts: Sequence[str]) -> list[Mode]:
    """Modes in the order given.

    Raises:
        ConfigError: As :func:`parse_mode`; on a mode given twice; or on ``random@trained`` without
            ``visionthink``, whose rate it takes.
    """
    names = list(texts)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"the mode {twice[0]!r} is given twice")
    if TRAINED in names and "visionthink" not in names:
        raise ConfigError(f"{TRAINED} takes the rate of visionthink: add --mode visionthink")
    return [parse_mode(name) for name in names]
