"""Judges: what decides whether an answer is right.

A judge reads text only: a question, the accepted answers, and the answer given. Here are those made
of rules; ``make_judge("auto")`` is the strict one for mixed answers. Those that ask a language
model or another judge (``cascade``, ``panel``, ``noisy``) live in :mod:`agents.judging`, and are
imported by name when one is made.

    >>> from vt_env.judges import Query, make_judge
    >>> judge = make_judge("auto")
    >>> judge.score([Query("How long is it?", ("5 km",), "5,000 metres")])[0].correct
    True
"""

from vt_env.judges.base import Judge, JudgeLike, Query, UsageLike, Verdict
from vt_env.judges.registry import JUDGES, make_judge, register_judge

__all__ = [
    "JUDGES",
    "Judge",
    "JudgeLike",
    "Query",
    "UsageLike",
    "Verdict",
    "make_judge",
    "register_judge",
]
