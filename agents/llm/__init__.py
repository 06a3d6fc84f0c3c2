"""Asking models behind servers that speak OpenAI's chat completions.

One :class:`Client` is one model on one server: its key, its connections, attempts, waits and time
limits. The judge ``openai`` (:mod:`agents.judging`) and the agent ``openai`` (:mod:`agents.served`)
use it alike. Importing this imports no network library.
"""

from agents.llm.address import Address, read_address
from agents.llm.client import Client, RefusedError, share_requests
from agents.llm.retry import FailureWatch, Limits, Spent, Trouble

__all__ = [
    "Address",
    "Client",
    "FailureWatch",
    "Limits",
    "RefusedError",
    "Spent",
    "Trouble",
    "read_address",
    "share_requests",
]
