"""Policies that act in the environment.

``agents`` is also the import name of another well-known package (``openai-agents``). Where both
are installed, the one that comes first on the path wins; :func:`experiments.check_packages` says so
in one sentence instead of a puzzling ImportError.
"""

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
