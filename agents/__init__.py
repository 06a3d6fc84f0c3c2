# ruff: noqa: E402
"""Policies that act in the environment.

``agents`` is also the import name of another well-known package (``openai-agents``);
:mod:`vt_env.packages` imports this one where the name leads to the other.
"""

from vt_env.packages import settle

settle(__name__)  # before anything is imported by these names

from agents.base import Agent, Conversation, Reply, answer_turn, request_turn
from agents.registry import AGENTS, closing, make_agent
from agents.rollout import Episode, rollout
from agents.steering import Steered

__all__ = [
    "AGENTS",
    "Agent",
    "Conversation",
    "Episode",
    "Reply",
    "Steered",
    "answer_turn",
    "closing",
    "make_agent",
    "request_turn",
    "rollout",
]
