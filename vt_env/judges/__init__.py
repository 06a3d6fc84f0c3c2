"""Judges: what decides whether an answer is right.

A judge reads text only: a question, the accepted answers, and the answer given. Most are sets of
rules; ``make_judge("auto")`` is the strict one for mixed answers. Those of ``models`` ask a
language model, alone or for what the rules leave open.

    >>> from vt_env.judges import Query, make_judge
    >>> judge = make_judge("auto")
    >>> judge.score([Query("How long is it?", ("5 km",), "5,000 metres")])[0].correct
    True
"""

from vt_env.judges.base import Judge, Query, Verdict, close, submit
from vt_env.judges.registry import JUDGES, make_judge, register_judge

__all__ = [
    "JUDGES",
    "Judge",
    "Query",
    "Verdict",
    "close",
    "make_judge",
    "register_judge",
    "submit",
]
