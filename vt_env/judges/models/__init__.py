"""Judges that ask a language model, and those that combine judges.

A :class:`ModelJudge` prepares queries, remembers verdicts and counts; a :class:`Backend` runs a
model. ``server`` asks OpenAI-compatible servers; backends that run a model in this process derive
from :class:`Local`. Importing this imports no network library.
"""

from vt_env.judges.models.asking import Ask, Backend, Failure, Reply
from vt_env.judges.models.cascade import Cascade
from vt_env.judges.models.judge import ModelJudge
from vt_env.judges.models.judging import Judging
from vt_env.judges.models.limits import Limits
from vt_env.judges.models.local import Local
from vt_env.judges.models.panel import Panel
from vt_env.judges.models.prompt import JudgePrompt, load_judge_prompt
from vt_env.judges.models.usage import Usage, total, usage_of

__all__ = [
    "Ask",
    "Backend",
    "Cascade",
    "Failure",
    "JudgePrompt",
    "Judging",
    "Limits",
    "Local",
    "ModelJudge",
    "Panel",
    "Reply",
    "Usage",
    "load_judge_prompt",
    "total",
    "usage_of",
]
