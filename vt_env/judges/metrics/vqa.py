"""VQA accuracy: agreement with human annotators."""

from __future__ import annotations

import math
import re

from vt_env.judges.base import Query
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, choose_variant

ANNOTATORS = 10
_NEEDED = 3
_NUMBERS = "zero one two three four five six seven eight nine ten".split()
_DIGITS = {"none": "0"} | {word: str(value) for value, word in enumerate(_NUMBERS)}
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_NUMBER = re.compile(r"[0-9],[0-9]")
_LONE_PERIOD = re.compile(r"(?<![0-9])\.(?![0-9])")
_CONTRACTIONS: dict[str, str] = {
    word.replace("'", ""): word
    for word in (
        "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's "
        "how'd how'll how's I'd've I'm I've isn't it'd it'll let's ma'am mightn't might've mustn't "
        "must've needn't not've o'clock oughtn't shan't she'd've should've shouldn't somebody'd "
        "somebody'll somebody's someone'd someone'll someone's something'd something'll that's "
        "there'd there're there's they'd they'll they're they've 'twas wasn't we'd've we've "
        "weren't what'll what're what's what've when's where'd where's where've who'd who'll who's "
        "who've "
        "why'll why're why's won't would've wouldn't y'all you'd you'll you're you've"
    ).split()
}


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
    words = (_DIGITS.get(word, word) for word in text.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


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
