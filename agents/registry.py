"""Agents by name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from agents.base import Agent
from agents.options import checked
from vt_env.registry import Registry, parse_spec

AGENTS: Registry[Agent] = Registry(
    "agent",
    "vt.agents",
    {
        "direct": "agents.scripted:Direct",
        "request": "agents.scripted:Request",
        "random": "agents.scripted:Random",
        "size-threshold": "agents.scripted:SizeThreshold",
        "oracle": "agents.scripted:Oracle",
        "confident": "agents.scripted:Confident",
        "ocr": "agents.ocr:OcrAgent",
        "transformers": "agents.transformers:TransformersAgent",
        "tiny": "agents.tiny:TinyAgent",
        "vllm": "agents.vllm_agent:VllmAgent",
        "openai": "agents.served:OpenAiAgent",
    },
)


def make_agent(agent: str | Agent) -> Agent:
    """An agent from its spec, ``NAME[:ARG,…,key=value,…]``, e.g. ``random:0.3,answerer=ocr``.

    Raises:
        ConfigError: On an unknown name, or arguments that it does not take.
        MissingExtra: If it needs a package that is not installed.
    """
    if not isinstance(agent, str):
        return agent
    name, positional, keywords = parse_spec(agent)
    return AGENTS.make(name, *positional, **checked(name, AGENTS.get(name), keywords))


@contextmanager
def closing(agent: Agent) -> Generator[Agent]:
    """Let go of what an agent holds (an engine, connections) at the end, if it holds anything."""
    try:
        yield agent
    finally:
        if close := getattr(agent, "close", None):
            close()
