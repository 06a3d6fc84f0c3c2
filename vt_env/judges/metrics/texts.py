"""Metrics of texts: equal, similar, contained."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from vt_env.judges.base import Query
from vt_env.judges.characters import fold
from vt_env.judges.metrics.rule import Rule, RuleJudge, Unscored, choose_variant, strictly

ANLS_THRESHOLD = 0.5
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def exact() -> RuleJudge:
    """Equality after folding case, typography, white space, edge punctuation and an article."""
    return RuleJudge("exact", Rule(_is_equal, "equal", refuses=True))


def _is_equal(query: Query) -> bool:
    answer, *references = map(_plain, (query.answer, *query.references))
    return bool(answer) and answer in references


def _plain(text: str) -> str:
    text = fold(text).casefold().strip(" .,;:!?\"'")
    return re.sub(r"^(?:the|an?) (?=\S)", "", text)


def anls(variant: str = "fixed") -> RuleJudge:
    """Average normalised Levenshtein similarity with threshold 0.5, best over the references.

    Source: Biten et al. 2019, arXiv 1905.13648, Eq. 1; DocVQA (Mathew et al. 2021) uses it.
    With NL the edit distance over the longer length, the score is 1 - NL where NL < 0.5, else 0.

    ``official`` folds case and white space before it counts edits, but takes the longer length from
    the texts as they came, and keeps a score of exactly 0.5; so does the DocVQA evaluation.
    ``fixed`` measures what it compares, counts characters as they are seen, follows the equation at
    0.5, folds typography, drops quotation marks and a final full stop around the text, and refuses
    tags, hidden and look-alike characters.
    """
    official = Rule(_anls, "similarity")
    fixed = Rule(_anls_fixed, "similarity", refuses=True)
    return choose_variant("anls", variant, official=official, fixed=fixed)


def _anls(query: Query) -> float:
    return max(_similarity_as_written(query.answer, reference) for reference in query.references)


def _similarity_as_written(answer: str, reference: str) -> float:
    """The official similarity: edits between the spaced texts, over the length of the raw ones."""
    left, right = (" ".join(text.lower().split()) for text in (answer, reference))
    longest = max(len(answer.upper()), len(reference.upper()))
    if left == right or 1 - abs(len(left) - len(right)) / longest < ANLS_THRESHOLD:
        return float(left == right)
    score = 1 - Levenshtein.distance(left, right) / longest
    return score if score >= ANLS_THRESHOLD else 0.0


def _anls_fixed(query: Query) -> float:
    references = [framed for reference in query.references if (framed := _framed(reference))]
    if not references:
        raise Unscored("every reference is empty between its quotation marks")
    return max(similarity(_framed(query.answer), reference) for reference in references)


def _framed(text: str) -> list[str]:
    return graphemes(fold(text).lower().strip("\"' ").removesuffix(".").strip("\"' "))


def graphemes(text: str) -> list[str]:
    """The characters as they are seen, in composed form: each with the marks that follow it."""
    seen: list[str] = []
    for char in unicodedata.normalize("NFC", text):
        if seen and unicodedata.category(char)[0] == "M":
            seen[-1] += char
        else:
            seen.append(char)
    return seen


def similarity(answer: Sequence[str], reference: Sequence[str]) -> float:
    """1 - NL where the normalised edit distance NL is below the threshold, else 0."""
    score = Levenshtein.normalized_similarity(answer, reference)
    return score if score > ANLS_THRESHOLD else 0.0


def substring(variant: str = "fixed") -> RuleJudge:
    """OCRBench: the reference occurs in the answer.

    Source: Liu et al. 2023, arXiv 2305.07895, Sec. 3.

    ``official`` looks for any reference in the lower-cased answer with line breaks as spaces and
    full-width characters as plain ones, so a long answer that lists many texts passes; for formulas
    (``answer_type`` ``math``: the rows of HME100k) it leaves out spaces and minds case. ``fixed``
    asks that the answer states the reference, alone or in one sentence, and nothing else.
    """
    official = Rule(_contains, "containing the reference")
    fixed = Rule(strictly, "stating the reference alone")
    return choose_variant("substring", variant, official=official, fixed=fixed)


def _contains(query: Query) -> bool:
    plain = _tight if query.answer_type == "math" else _one_line
    answer = plain(query.answer)
    return any(plain(reference) in answer for reference in query.references)


def _one_line(text: str) -> str:
    return text.translate(_FULL_WIDTH).lower().strip().replace("\n", " ")


def _tight(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")
