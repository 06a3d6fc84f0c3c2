"""VQA accuracy: agreement with human annotators."""

from __future__ import annotations

import math
import re

from vt_env.judges.base import Query
from vt_env.judges.lexicon import table
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, choose_variant
from vt_env.judges.numerals import CARDINALS

ANNOTATORS = 10
_NEEDED = 3
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_NUMBER = re.compile(r"[0-9],[0-9]")
_LONE_PERIOD = re.compile(r"(?<![0-9])\.(?![0-9])")


def vqa(variant: str = "fixed") -> RuleJudge:
    """VQA accuracy, graded: ``min(1, matches / 3)`` over ten annotators' answers.

    Source: Antol et al. 2015, arXiv 1505.00468, Sec. 4, and the VQA evaluation code.

    ``official`` averages the formula over the ten sets of nine annotators, after the evaluation's
    normalisation (punctuation, articles, contractions, number words to ten; only where the
    annotators differ). It is defined for exactly ten references; any other number is unscored.
    ``fixed`` applies the plain formula with the normalisation always on, takes any number n of
    references, of which ``max(1, ceil(0.3 n))`` must match for a full score (three of ten, one of
    one to three), and refuses tags, hidden and look-alike characters.
    """
    official, fixed = Rule(_official, "agreement"), Rule(_fixed, "agreement", refuses=True)
    return choose_variant("vqa", variant, official=official, fixed=fixed)


def normalise(text: str) -> str:
    """The evaluation's normal form of an answer."""
    text = text.replace("\n", " ").replace("\t", " ").strip()
    joined = _COMMA_NUMBER.search(text) is not None
    for mark in _PUNCTUATION:
        if mark in text:
            tight = joined or f"{mark} " in text or f" {mark}" in text
            text = text.replace(mark, "" if tight else " ")
    text = _LONE_PERIOD.sub("", text)
    digits = {"none": "0", **{name: str(value) for name, value in CARDINALS.items() if value <= 10}}
    words = (digits.get(word, word) for word in text.lower().split())
    marked = {word.replace("'", ""): word for word in table("english")["contractions"].split()}
    return " ".join(marked.get(word, word) for word in words if word not in _ARTICLES)


def _official(query: Query) -> float:
    if (got := len(query.references)) != ANNOTATORS:
        raise Unscored(f"official VQA accuracy needs {ANNOTATORS} references, got {got}")
    answer, references = query.answer.strip(), [ref.strip() for ref in query.references]
    if len(set(references)) > 1:
        answer, references = normalise(answer), [normalise(ref) for ref in references]
    matches = [ref == answer for ref in references]
    return sum(min(1.0, (sum(matches) - match) / _NEEDED) for match in matches) / ANNOTATORS


def _fixed(query: Query) -> float:
    answer = normalise(query.answer)
    total = sum(normalise(reference) == answer for reference in query.references)
    needed = max(1, math.ceil(_NEEDED * len(query.references) / ANNOTATORS))
    return min(1.0, total / needed)
