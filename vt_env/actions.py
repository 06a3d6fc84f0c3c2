"""What a policy's turn can be: an answer, a call of tools, or neither.

How it is written is a :class:`~vt_env.grammars.Grammar`'s to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The turn answers, which ends the episode.

    Attributes:
        text: What stands between the answer tags, stripped.
        thought: What stands between the think tags, stripped.
        flaws: Rules of the format that the turn breaks; none if it is well formed.
    """

    text: str
    thought: str = ""
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The turn calls a tool. Also an action of its own: ``env.step(ToolCall("resize_image", …))``.

    Attributes:
        name: The tool's name.
        arguments: Its arguments, as parsed from JSON.
        thought: What stands between the think tags, stripped.
        flaws: Rules of the format that the turn breaks; none if it is well formed.
        also: Further calls of the same turn, in their order, where the grammar allows several.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thought: str = ""
    flaws: tuple[str, ...] = ()
    also: tuple[ToolCall, ...] = ()

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All calls of the turn."""
        return (self, *self.also)

    @property
    def text(self) -> str:
        """The first call as text, in VisionThink's grammar.

        Raises:
            TypeError: If the arguments cannot be written as JSON.
        """
        call = json.dumps({"name": self.name, "arguments": dict(self.arguments)}, allow_nan=False)
        return f"<think>{self.thought}</think>\n<tool_call>{call}</tool_call>"


@dataclass(frozen=True, slots=True)
class Malformed:
    """The turn neither answers nor makes a call that can be read.

    Attributes:
        reason: What was expected and what came.
        tried_call: Whether it meant to call a tool: then the environment says what was wrong and
            the policy may try again; otherwise the episode ends without an answer.
    """

    reason: str
    tried_call: bool = False

    @property
    def flaws(self) -> tuple[str, ...]:
        """The reason, as the one flaw."""
        return (self.reason,)


Action = Answer | ToolCall | Malformed


@dataclass(frozen=True, slots=True)
class NoTurn:
    """Stands in place of a turn that could not be had, as when a policy's server fails.

    The episode ends there and is unscored: nobody is rewarded or punished for it.

    Attributes:
        reason: Why there is none.
    """

    reason: str


def calls(action: Action) -> bool:
    """Whether a turn meant to call a tool, so that the environment has something to say."""
    return isinstance(action, ToolCall) or (isinstance(action, Malformed) and action.tried_call)
