"""The beginnings of a turn that decide it, in the words of an agent."""

from __future__ import annotations

from vt_env.errors import unknown_name


def beginnings(agent: str) -> dict[str, str]:
    """The beginnings of a turn that decide it, in the words of an agent.

    Raises:
        ConfigError: If the agent of that name is no model here.
    """
    from agents import AGENTS
    from agents.transformers import TransformersAgent

    kind = AGENTS.get(agent)
    if not isinstance(kind, type) or not issubclass(kind, TransformersAgent):
        raise unknown_name("agent that is a model", agent, ("transformers", "tiny"))
    return dict(kind.prefixes)
