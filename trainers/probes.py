"""Probes: the rollouts of a group that are forced into an arm, and how their turns begin.

An arm is a first decision: to answer, or to call a tool. With one tool that are ``direct`` and
``request``; with several there is an arm for each tool, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents import AGENTS, Conversation, Reply
from agents.transformers import TransformersAgent
from trainers.config import TrainConfig
from vt_env.errors import ConfigError, unknown_name
from vt_env.grammars import VISIONTHINK
from vt_env.protocol import Protocol


class Probing:
    """An agent some of whose rollouts are forced, at their first turn, into one arm.

    The forced tokens are marked in the replies.

    Args:
        agent: Who plays.
        group_size: Rollouts of a group.
        starts: What the first rollouts of every group begin with, see :mod:`trainers.probes`.
    """

    def __init__(self, agent: TransformersAgent, group_size: int, starts: Sequence[str]) -> None:
        self.agent = agent
        self.group_size = group_size
        self.starts = [*starts, *[None] * (group_size - len(starts))]

    @property
    def name(self) -> str:
        """The agent's."""
        return self.agent.name

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        """One turn for each conversation; in the first turn that is every row of the groups."""
        forced = [
            self.starts[row % self.group_size] if c.turn == 0 and c.can_request else None
            for row, c in enumerate(conversations)
        ]
        return self.agent.act(conversations, forced)


def probe_starts(config: TrainConfig, protocol: Protocol) -> Sequence[str]:
    """What the first turns of the first rollouts of a group are made to begin with.

    Returns:
        ``rollout.probes`` times the beginning of each arm; the rest of the group is free. Or for
        the whole group that of ``rollout.arm``.

    Raises:
        ConfigError: If that are more than a group has, the agent begins two arms alike, or there is
            no such arm.
    """
    probes, size, arm = config.rollout.probes, config.rollout.group_size, config.rollout.arm
    if not probes and not arm:
        return ()
    arms = arms_for(config, protocol)
    if arm and not protocol.tools:
        raise ConfigError(f"rollout.arm={arm}: this protocol has no tool, so nothing is decided")
    if arm and arm not in arms:
        raise unknown_name("arm (rollout.arm)", arm, arms)
    if arm:
        return [arms[arm]] * size
    if len(arms) * probes > size:
        raise ConfigError(
            f"rollout.probes: {probes} of each of {len(arms)} arms ({', '.join(arms)}) do not fit "
            f"into groups of {size}; raise rollout.group_size to {len(arms) * probes}"
        )
    if len(set(arms.values())) < len(arms):
        raise ConfigError(
            f"rollout.probes: the agent {config.model.agent!r} has no beginning of its own for "
            f"each of {', '.join(arms)}; set rollout.probes=0, or leave one tool"
        )
    return [start for start in arms.values() for _ in range(probes)]


def arms_for(config: TrainConfig, protocol: Protocol) -> dict[str, str]:
    """The arms of a recipe's agent, see :func:`arms_of`.

    Raises:
        ConfigError: If the agent is no model here.
    """
    return arms_of(_prefixes_of(config.model.agent), protocol)


def arms_of(prefixes: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """The arms that a protocol has, each with the beginning of a turn that takes it.

    Args:
        prefixes: An agent's, see :attr:`agents.transformers.TransformersAgent.prefixes`.
        protocol: Whose tools and whose way to write a call are meant.
    """
    begun, request = protocol.grammar.begun, prefixes["request"]
    mark = VISIONTHINK.begun()
    if len(protocol.tools) < 2 or protocol.grammar.tool:
        return {"direct": prefixes["direct"], "request": request.replace(mark, begun())}
    calls = {
        tool.name: prefixes.get(tool.name, request.replace(mark, begun(tool.name)))
        for tool in protocol.tools
    }
    return {"direct": prefixes["direct"], **calls}


def _prefixes_of(agent: str) -> Mapping[str, str]:
    """The beginnings of a turn that decide it, of an agent that is a model here."""
    kind = AGENTS.get(agent)
    if not isinstance(kind, type) or not issubclass(kind, TransformersAgent):
        raise unknown_name("agent that is a model", agent, ("transformers", "tiny"))
    return kind.prefixes
