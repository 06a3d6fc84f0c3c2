"""Metrics of questions that are answered by yes or no."""

from __future__ import annotations

import re
from dataclasses import replace

from vt_env.judges.base import Query
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, choose_variant, decide

_SIDES = {
    **dict.fromkeys("y yes yeah yep yup true correct indeed".split(), True),
    **dict.fromkeys("n no nope false incorrect".split(), False),
}
_DENIALS = frozenset(
    "no nope false incorrect not never none neither nor cannot nothing nobody without".split()
)
_LEADING_YES = re.compile(
    r"(?:(?:the |my )?answer(?: is|:)|answer:)?[\s*\"'(]*(?:yes|yeah|yep|yup|true|correct|indeed)"
    r"[*\"')]*\s*(?=[.,;:!\n]|[-–—] |$)(?P<rest>.*)",
    re.I | re.S,
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def yesno(variant: str = "fixed") -> RuleJudge:
    """POPE and MME: yes or no.

    Source: Li et al. 2023, arXiv 2305.10355, and its released evaluation; Fu et al. 2023, arXiv
    2306.13394; lmms-eval.

    ``official`` reads the first sentence: *no* if it has the word ``no`` or ``not``, else *yes*,
    so that any other text counts as yes. lmms-eval differs: ``word`` (its POPE) accepts nothing but
    the one word, ``prefix`` (its MME) looks for either word in the first four characters. ``fixed``
    wants a clear side: what the judge ``auto`` takes for it (*There is no dog.*), and where that
    leaves it open, a leading yes that nothing takes back (*Yes - two are playing.*).
    """
    return choose_variant(
        "yesno",
        variant,
        official=Rule(_pope, "the right side"),
        word=Rule(_word, "the right word alone"),
        prefix=Rule(_prefix, "beginning with the right word"),
        fixed=Rule(_fixed, "clearly the right side", refuses=True),
    )


def _word(query: Query) -> bool:
    given = query.answer.lower().strip()
    return any(given == reference.lower().strip() for reference in query.references)


def _prefix(query: Query) -> bool:
    given = query.answer.lower().strip().replace(".", "")
    if len(given) == 1:
        said = {"y": "yes", "n": "no"}.get(given, "")
    else:
        said = next((word for word in ("yes", "no") if word in given[:4]), "")
    return any(said == ref.lower().strip().replace(".", "") for ref in query.references)


def _pope(query: Query) -> bool:
    words = query.answer.split(".", 1)[0].replace(",", "").split()
    return _wanted(query) is not bool({"No", "no", "not"} & set(words))


def _fixed(query: Query) -> bool:
    wanted = _wanted(query)
    decision = decide(replace(query, references=("yes" if wanted else "no",)))
    if decision.certain:
        return decision.verdict.correct is True
    return wanted and _leads_with_yes(query.answer, query.question)


def _wanted(query: Query) -> bool:
    sides = {_SIDES.get(reference.strip().rstrip(".").lower()) for reference in query.references}
    if len(sides - {None}) != 1:
        raise Unscored("the reference is neither yes nor no")
    return True in sides


def _leads_with_yes(answer: str, question: str) -> bool:
    """Whether an answer begins with yes, and has no denial but those of the question."""
    lead = _LEADING_YES.match(answer.strip())
    if lead is None:
        return False
    words, asked = (set(_WORD.findall(text.lower())) for text in (lead["rest"], question))
    return not any(word in _DENIALS or word.endswith("n't") for word in words - asked)
