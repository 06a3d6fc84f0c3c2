"""Agents whose first decision, to answer or to ask, somebody else makes.

Baselines (always ask, ask at random, ask where the picture is large) and probes need one policy
with the choice made otherwise. How depends on the agent:

* one that is *steerable* begins its turn as it is told, and says the rest itself: models whose
  turns can be begun for them, and scripted agents;
* for any other, e.g. a model behind a server, a request is written as its first turn, and a direct
  answer is asked for as the protocol ``low`` asks: the same picture, no tool declared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

from agents.base import Agent, Conversation, Reply, request_turn
from vt_env.prompts import block_text
from vt_env.protocol import Protocol as Rules
from vt_env.regions import Box, Region
from vt_env.tools import ToolError

Arm = Literal["direct", "request"]
Rule = Callable[[Conversation], bool]
"""Whether to ask; consulted once a rollout, in the first turn, where a tool can be called."""

FORCED = "I was told to ask for the original."


@runtime_checkable
class Steerable(Agent, Protocol):
    """An agent that can be told how to begin."""

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        """One turn for each conversation, in its arm; ``None`` leaves the choice to the agent."""
        ...


class Steered:
    """An agent whose first decision is made by a rule.

    Args:
        agent: Who says the rest.
        asks: The rule.
        plain: The rules of a conversation without a tool, for an agent that is not steerable.
        name: What tables call it; the agent's name by default.
    """

    def __init__(
        self, agent: Agent, asks: Rule, plain: Rules | None = None, name: str | None = None
    ) -> None:
        self.agent = agent
        self.asks = asks
        self.plain = plain
        self.name = name or agent.name

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """The rule decides the arm, the agent says the rest."""
        arms: list[Arm | None] = [self._arm(conversation) for conversation in conversations]
        if isinstance(self.agent, Steerable):
            return self.agent.steer(conversations, arms)
        turns = {
            index: self._without_tool(conversation) if arm == "direct" else _written(conversation)
            for index, (conversation, arm) in enumerate(zip(conversations, arms, strict=True))
            if arm != "request"
        }
        replies = iter(self.agent.act(list(turns.values())) if turns else [])
        return [
            next(replies) if index in turns else Reply(request_turn(FORCED), tokens=0)
            for index in range(len(arms))
        ]

    def _arm(self, conversation: Conversation) -> Arm | None:
        if conversation.turn or not conversation.can_request:
            return None
        return "request" if self.asks(conversation) else "direct"

    def _without_tool(self, conversation: Conversation) -> Conversation:
        if self.plain is None:
            return conversation
        messages = self.plain.opening(conversation.question, len(conversation.images))
        return replace(conversation, messages=messages, can_request=False)


class Pointed:
    """An agent whose first call is written here, for the place where the answer is.

    So the place is shown whether or not the agent would have asked.

    Args:
        agent: Who says the rest.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.name = agent.name

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """The call, then the agent's turns."""
        calls = [None if c.turn else self._call(c) for c in conversations]
        pairs = zip(conversations, calls, strict=True)
        left = [_written(conversation) for conversation, call in pairs if call is None]
        replies = iter(self.agent.act(left) if left else [])
        return [next(replies) if call is None else Reply(call, tokens=0) for call in calls]

    def _call(self, conversation: Conversation) -> str | None:
        box, first = conversation.sample.answer_box, conversation.images[0].region
        if box is None or first is None or conversation.ask is None or not conversation.can_request:
            return None
        place = Region(0, box.whole().within(Box.of(first.of)), first.of)
        try:
            return conversation.ask(place, FORCED)
        except ToolError:  # of a tool that shows no parts
            return request_turn(FORCED)


def _written(conversation: Conversation) -> Conversation:
    """The conversation; where its first turn was written here, it says so."""
    first = next((m for m in conversation.messages if m["role"] == "assistant"), None)
    written = first is not None and FORCED in block_text(first["content"])
    return replace(conversation, written=1) if written else conversation
