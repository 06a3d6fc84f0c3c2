"""Probes: the rollouts of a group that are forced into each arm, and how their turns begin.

An arm is a first decision: to answer, or to call a tool. With one tool that are ``direct`` and
``request``; with several there is an arm for each tool, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agents import AGENTS
from agents.transformers import TransformersAgent
from trainers.config import TrainConfig
from vt_env.errors import ConfigError, unknown_name
from vt_env.grammars import VISIONTHINK
from vt_env.protocol import Protocol


def probe_starts(config: TrainConfig, protocol: Protocol) -> Sequence[str]:
    """What the first turns of the first rollouts of a group are made to begin with.

    Returns:
        ``rollout.probes`` times the beginning of each arm; the rest of the group is free.

    Raises:
        ConfigError: If that are more than a group has, or the agent begins two arms alike.
    """
    probes, size = config.rollout.probes, config.rollout.group_size
    if not probes:
        return ()
    arms = arms_of(_prefixes_of(config.model.agent), protocol)
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
