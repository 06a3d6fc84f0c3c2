"""Judges that ask a language model: ``openai:MODEL@URL``, ``transformers:PATH``, ``vllm:PATH``.

A :class:`ModelJudge` prepares queries, remembers verdicts and counts; a :class:`Backend` runs a
model. ``openai_judge`` asks servers through :mod:`agents.llm`; backends that run a model in this
process derive from :class:`Local`. Importing this imports no network library.
"""

from agents.judging.asking import Ask, Backend, Completion, Failure
from agents.judging.judge import ModelJudge
from agents.judging.local import Local
from agents.judging.prompt import JudgePrompt, load_judge_prompt
from agents.judging.settings import Judging
from agents.judging.usage import Usage

__all__ = [
    "Ask",
    "Backend",
    "Completion",
    "Failure",
    "JudgePrompt",
    "Judging",
    "Local",
    "ModelJudge",
    "Usage",
    "load_judge_prompt",
]
