"""Models behind servers that speak OpenAI's chat completions: vLLM, SGLang, llama.cpp, OpenAI.

    Conversation ──messages──▶ request ──client──▶ reply ──turns──▶ Reply

The connection (keys, retries, limits) is :mod:`agents.llm`. A reply is either what the model said,
checked, or says why there is none; the rollout is then unscored.
"""

from agents.served.agent import OpenAiAgent

__all__ = ["OpenAiAgent"]
