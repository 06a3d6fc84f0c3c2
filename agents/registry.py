"""Agents by name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from agents.base import Agent
from vt_env.registry import Registry

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
        "zoom-oracle": "agents.scripted:ZoomOracle",
        "zoom-random": "agents.scripted:ZoomRandom",
        "ocr": "agents.ocr:OcrAgent",
        "transformers": "agents.transformers:TransformersAgent",
        "tiny": "agents.tiny:TinyAgent",
        "pages": "agents.tiny.pages.zoom:PagesAgent",
        "vllm": "agents.vllm_agent:VllmAgent",
        "openai": "agents.served:OpenAiAgent",
    },
)


def make_agent(agent: str | Agent) -> Agent:
    """An agent from its spec, ``NAME[:ARG,…,key=value,…]``, e.g. ``random:0.3,answerer=ocr``.

    Raises:
        ConfigError: On an unknown name, or arguments that it does not take, lacks, or takes only
            of another type or in another range.
        MissingExtra: If it needs a package that is not installed.
    """
    return AGENTS.from_spec(agent) if isinstance(agent, str) else agent


@contextmanager
def closing(agent: Agent) -> Generator[Agent]:
    """Let go of what an agent holds (an engine, connections) at the end, if it holds anything."""
    try:
        yield agent
    finally:
        if close := getattr(agent, "close", None):
            close()


def says_calls(agent: str | Agent) -> bool:
    """Whether an agent that is told to begin a call says the call itself, of whatever tool.

    A model in this process does; for any other, a request for the original is written.
    """
    kind = AGENTS.get(agent.partition(":")[0].strip()) if isinstance(agent, str) else agent
    return hasattr(kind, "prefixes")
