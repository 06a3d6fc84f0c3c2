"""Multiple choice: the right option, by its letter or its text, and no other."""

from __future__ import annotations

import re
from dataclasses import replace

from vt_env.judges.base import Query
from vt_env.judges.characters import fold
from vt_env.judges.matching import without_announcement
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, strictly
from vt_env.judges.options import choose, read_options

_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\]]?[.:)]?")


def mcq() -> RuleJudge:
    """Multiple choice by letter, by option text, or by both where they agree.

    Options come with the query or are read out of its question. Without any, only letters can be
    compared. A reference that is no option is unscored.
    """
    return RuleJudge("mcq", Rule(_mcq, "the right option alone", refuses=True))


def _mcq(query: Query) -> bool:
    options = read_options(query.question, query.choices)
    if options is None:
        return _letters(query)
    known = tuple(ref for ref in query.references if choose(ref, options) is not None)
    if not known:
        raise Unscored("no reference is one of the options")
    return strictly(replace(query, references=known, answer_type="mcq"))


def _letters(query: Query) -> bool:
    wanted = {m[1].upper() for ref in query.references if (m := _LETTER.fullmatch(ref.strip()))}
    if not wanted:
        raise Unscored("no options, and the reference is no letter")
    given = _LETTER.fullmatch(without_announcement(fold(query.answer).strip("*")))
    return given is not None and given[1].upper() in wanted
