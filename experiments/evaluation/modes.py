"""Modes: the ways in which one agent plays the same samples.

==================  ===========================================================================
low                 the small picture, no tool (protocol ``low``)
full                the original at once, no tool (protocol ``general``)
visionthink         the small picture first; the agent decides
always-request      as ``visionthink``, but it always asks
random@RATE         it asks with a probability; ``random@trained``: as often as ``visionthink`` did
size-threshold      it asks where the small picture has 100,000 pixels or more (or @PIXELS)
oracle              it asks exactly where ``low`` is wrong and ``always-request`` is right
no-tool             the first view of the task's own protocol, and no tool
blank               the agent decides, and its calls show a grey picture
same-view           they show what was seen already
random-crop         they show a part of the same size elsewhere: with tools that show parts
oracle-crop         a first call for the place of the answer is written for it, and shown
==================  ===========================================================================

Those between ``visionthink`` and ``no-tool`` force the first decision of the agent, which says all
the rest; see :mod:`agents.steering`. The last five are for :mod:`experiments.diagnosis`. Packages
add modes through the entry-point group ``vt.modes``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agents import Agent, Conversation, Steered
from agents.steering import Pointed, Rule
from experiments.episodes import Row
from vt_env import ConfigError, DataError
from vt_env.errors import unknown_name
from vt_env.protocol import Protocol
from vt_env.registry import Registry
from vt_env.tools.counterfactual import Counterfactual

PIXELS = 100_000
DECIDES = "visionthink"
"""The mode in which the agent decides."""
MOVED = "random-crop"
"""The mode in which calls show another place."""
_NOT_IN: Mapping[str, Sequence[str]] = {
    "low": ("tools", "max_turns"),
    "general": ("tools", "max_turns", "factor"),
}
"""Rules that a protocol without a tool has no use for."""


@dataclass(frozen=True, slots=True)
class Always:
    """Asks."""

    def __call__(self, conversation: Conversation) -> bool:
        """Whatever is asked."""
        return True


@dataclass(frozen=True, slots=True)
class AtRandom:
    """Asks with a probability.

    The coin is the rollout's own, and no draw that the agent makes: an agent that decides by its
    own draws would otherwise be told to do what it does by itself.
    """

    rate: float

    def __call__(self, conversation: Conversation) -> bool:
        """Toss it."""
        (apart,) = conversation.rng.bit_generator.seed_seq.spawn(1)  # type: ignore[attr-defined]
        return bool(np.random.default_rng(apart).random() < self.rate)


@dataclass(frozen=True, slots=True)
class FromPixels:
    """Asks where the first view has at least so many pixels."""

    pixels: int

    def __call__(self, conversation: Conversation) -> bool:
        """Count them."""
        width, height = conversation.images[0].size
        return width * height >= self.pixels


@dataclass(frozen=True, slots=True)
class Among:
    """Asks about some samples."""

    ids: frozenset[str]

    def __call__(self, conversation: Conversation) -> bool:
        """Look the sample up."""
        return conversation.sample.id in self.ids


Change = Callable[[Protocol, Protocol], Protocol]


@dataclass(frozen=True, slots=True)
class Shown:
    """Calls show something else; see :mod:`vt_env.tools.counterfactual`."""

    what: str

    def __call__(self, own: Protocol, plain: Protocol) -> Protocol:
        """Wrap the tools."""
        return replace(own, tools=tuple(Counterfactual(tool, self.what) for tool in own.tools))


def without_tool(own: Protocol, plain: Protocol) -> Protocol:
    """The first view of a protocol, and the words of the one without a tool."""
    return replace(own, tools=(), max_turns=1, prompt=plain.prompt, grammar=plain.grammar)


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to play.

    Attributes:
        name: As in the module's table; empty for an agent that plays the task as it stands.
        protocol: Its own protocol, without a tool; empty: the task's.
        asks: Whether the first turn asks; ``None``: the agent decides, or ``settle`` will say.
        changes: Makes the mode's rules of the task's own and of those without a tool.
        boxes: Whether a first call for the place of the answer is written for the agent, which
            samples must name.
        needs: Modes whose episodes decide what this one does.
        settle: The rule, from the rows of those modes, by mode.
    """

    name: str = ""
    protocol: str = ""
    asks: Rule | None = None
    changes: Change | None = None
    boxes: bool = False
    needs: tuple[str, ...] = ()
    settle: Callable[[Mapping[str, Sequence[Row]]], Rule] | None = None

    @property
    def forced(self) -> bool:
        """Whether the first decision is made for the agent."""
        return self.asks is not None or self.settle is not None

    @property
    def decides(self) -> bool:
        """Whether the agent that is evaluated plays as it would by itself."""
        return self.name in ("", DECIDES) or self.changes is not None

    @property
    def folder(self) -> str:
        """A folder's name."""
        return self.name.replace("@", "-")

    @property
    def rate(self) -> float | None:
        """Of a coin."""
        return self.asks.rate if isinstance(self.asks, AtRandom) else None

    def settled(self, rows: Mapping[str, Sequence[Row]]) -> Mode:
        """The same once the modes that it needs were played."""
        return self if self.settle is None else replace(self, asks=self.settle(rows), settle=None)

    def described(self) -> dict[str, Any]:
        """What decides the rows, as ``evaluation.json`` says it."""
        made: dict[str, Any] = {"mode": self.name, "rate": self.rate}
        if isinstance(self.asks, Among):
            ids = "\n".join(sorted(self.asks.ids)).encode("utf-8", "surrogatepass")
            made["asked"] = hashlib.sha256(ids).hexdigest()[:16]
        return made

    def rules(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What replaces the protocol's own rules, without what a protocol without a tool lacks."""
        left = _NOT_IN.get(self.protocol, ())
        if self.protocol == "general" and ":" in (given.get("first_look") or ""):
            left = (*left, "first_look")  # a bound, as the factor is one
        return {key: value for key, value in given.items() if key not in left}

    def check(self, rules: Protocol, says_calls: bool = False) -> None:
        """Make sure that the mode can be played.

        Args:
            rules: That it is played by.
            says_calls: Of the agent, see :func:`agents.registry.says_calls`.
        """
        if self.forced and rules.tool("resize_image") is None and not (says_calls and rules.tools):
            raise ConfigError(
                f"the mode {self.name!r} asks by resize_image, which is no tool here; only a model "
                "in this process can be told to call another"
            )
        if isinstance(self.changes, Shown) and not rules.tools:
            raise ConfigError(f"the mode {self.name!r} needs a protocol with a tool")
        parts = any(tool.shows_parts for tool in rules.tools)
        names = ", ".join(tool.name for tool in rules.tools)
        if self.changes == Shown(MOVED) and not parts:
            raise ConfigError(
                f"the mode {self.name!r} needs a tool that shows parts: {names} shows all of a "
                "picture, which has no other place"
            )
        if self.boxes and not parts and rules.tool("resize_image") is None:
            raise ConfigError(
                f"the mode {self.name!r} needs resize_image or a tool that shows parts, and "
                f"{names} cannot be asked for one: give it arguments_for"
            )

    def player(self, agent: Agent, plain: Protocol) -> Agent:
        """The agent as it plays in this mode.

        Args:
            agent: Who plays.
            plain: The rules of a conversation without a tool.
        """
        if self.settle is not None:
            raise ConfigError(f"{self.name!r} needs the modes {', '.join(self.needs)} first")
        if self.boxes:
            return Pointed(agent)
        return agent if self.asks is None else Steered(agent, self.asks, plain)


PLAIN = Mode("low", "low")
"""How a direct answer is asked for where an agent is not steerable."""


def trained_rate(rows: Mapping[str, Sequence[Row]]) -> AtRandom:
    """As often as the agent asked."""
    asked = [bool(row["requested"]) for row in rows[DECIDES]]
    if not asked:
        raise DataError(f"{DECIDES} has no episode, so random@trained has no rate")
    return AtRandom(sum(asked) / len(asked))


def paying(rows: Mapping[str, Sequence[Row]]) -> Among:
    """Where asking makes a wrong answer right."""
    right = {row["id"] for row in rows["always-request"] if row["correct"]}
    return Among(frozenset(r["id"] for r in rows["low"] if not r["correct"] and r["id"] in right))


def _fixed(mode: Mode, about: str) -> Callable[[str | None], Mode]:
    def make(value: str | None) -> Mode:
        if value is not None:
            raise unknown_name("mode", f"{mode.name}@{value}", mode_names())
        return mode

    make.__doc__ = about
    return make


def _random(value: str | None) -> Mode:
    """A coin decides whether to ask."""
    if value is None:
        raise unknown_name("mode", "random", mode_names())
    if value == "trained":
        return Mode("random@trained", needs=(DECIDES,), settle=trained_rate)
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ConfigError(
            f"random@RATE takes a number from 0 to 1, or 'trained', got 'random@{value}'"
        )
    return Mode(f"random@{value}", asks=AtRandom(rate))


def _size_threshold(value: str | None) -> Mode:
    """Asks where the small picture is large: 100,000 pixels unless told otherwise."""
    if value is not None and (not value.isdecimal() or int(value) < 1):
        raise ConfigError(
            f"size-threshold@PIXELS takes a whole number from 1 up, got 'size-threshold@{value}'"
        )
    name = "size-threshold" if value is None else f"size-threshold@{value}"
    return Mode(name, asks=FromPixels(int(value or PIXELS)))


MODES: Registry[Mode] = Registry(
    "mode",
    "vt.modes",
    {
        "low": _fixed(PLAIN, "Sees the small picture only, and has no tool."),
        "full": _fixed(Mode("full", "general"), "Sees the original at once: 1.0 of the tokens."),
        DECIDES: _fixed(Mode(DECIDES), "Decides for itself whether to ask for the original."),
        "always-request": _fixed(
            Mode("always-request", asks=Always()),
            "Always asks: the small picture and the original.",
        ),
        "oracle": _fixed(
            Mode("oracle", needs=("low", "always-request"), settle=paying),
            "Asks exactly where low is wrong and always-request is right: it knows the answers.",
        ),
        "no-tool": _fixed(
            Mode("no-tool", changes=without_tool), "Sees the first view, and has no tool."
        ),
        "blank": _fixed(Mode("blank", changes=Shown("blank")), "Its calls show a grey picture."),
        "same-view": _fixed(
            Mode("same-view", changes=Shown("same-view")), "Its calls show what was seen already."
        ),
        MOVED: _fixed(
            Mode(MOVED, changes=Shown(MOVED)),
            "Its calls show a part of the same size elsewhere.",
        ),
        "oracle-crop": _fixed(
            Mode("oracle-crop", changes=Shown("oracle-crop"), boxes=True),
            "It is shown the place where the answer is, whether it asks or not.",
        ),
        "random": _random,
        "size-threshold": _size_threshold,
    },
)
"""By what stands before the ``@``: makes a mode from what stands behind it, ``None``: nothing."""


def mode_names() -> list[str]:
    """What ``--mode`` takes."""
    forms = {"random": ["random@RATE", "random@trained"]}
    return [form for name in MODES.names() for form in forms.get(name, [name])]


def parse_mode(text: str) -> Mode:
    """A mode from its name."""
    kind, at, value = text.partition("@")
    if kind not in MODES.names():
        raise unknown_name("mode", text, mode_names())
    return MODES.make(kind, value if at else None)


def parse_modes(texts: Sequence[str]) -> list[Mode]:
    """Modes in the order given."""
    names = list(texts)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"the mode {twice[0]!r} is given twice")
    modes = [parse_mode(name) for name in names]
    for mode in modes:
        if missing := [name for name in mode.needs if name not in names]:
            more = " ".join(f"--mode {name}" for name in missing)
            raise ConfigError(f"{mode.name} takes what {', '.join(missing)} did: add {more}")
    return modes
