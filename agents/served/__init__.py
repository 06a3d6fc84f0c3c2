"""Models behind servers that speak OpenAI's chat completions: vLLM, SGLang, llama.cpp, OpenAI.

    Conversation ──messages──▶ request ──client──▶ reply ──turns──▶ Reply

The connection (keys, retries, limits) is that of the judges in ``vt_env.judges.models``. A reply is
either what the model said, checked, or an error that stops the run.
"""

from agents.served.agent import OpenAiAgent

__all__ = ["OpenAiAgent"]
