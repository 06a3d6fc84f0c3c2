"""The metrics of public benchmarks, as published (``official``) and repaired (``fixed``).

``official`` is what lmms-eval 0.7 computes, the harness that most reports (VisionThink's too) use;
``make test-lmms`` compares the two. ``fixed`` refuses tags, hidden and look-alike characters, and
where it has to understand an answer it asks the judge ``auto``.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from rapidfuzz.distance import Levenshtein

from vt_env.judges.base import Query
from vt_env.judges.characters import fold
from vt_env.judges.lexicon import table
from vt_env.judges.numerals import CARDINALS
from vt_env.judges.questions import read_question
from vt_env.judges.rules import (
    NUMBER,
    Rule,
    RuleJudge,
    Unscored,
    choose_variant,
    decide,
    near,
    number_of,
    strictly,
    written,
)

ANLS_THRESHOLD = 0.5
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
TOLERANCE = Fraction(1, 20)
"""Relative tolerance of ChartQA's relaxed accuracy."""
_PERCENT = re.compile(r"\s?(?:%|percent\b|per cent\b)", re.I)
_ASKS_YEAR = re.compile(
    r"^\W*(?:since )?(?:when|wann|quand|cuándo)\b|\b(?:years?|jahr|année|año)\b(?! [0-9])|年", re.I
)
ANNOTATORS = 10
_NEEDED = 3
_ARTICLES = frozenset(("a", "an", "the"))
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_NUMBER = re.compile(r"[0-9],[0-9]")
_LONE_PERIOD = re.compile(r"(?<![0-9])\.(?![0-9])")
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


def relaxed(variant: str = "fixed") -> RuleJudge:
    """ChartQA's relaxed accuracy: numbers within 5 % of the reference, other answers equal.

    Source: Masry et al. 2022, arXiv 2203.10244, Sec. 5; the tolerance is Methani et al. 2020's.

    ``official`` reads a number only from what Python's ``float`` takes, divides by 100 where it
    ends with a percent sign, and compares other texts in lower case. ``fixed`` differs: where a
    year is asked for there is no tolerance (2010 is not 2019), ``47%`` equals 47, and 0.47 where
    that is the reference; units must agree; numbers are read in any usual notation and in a
    sentence, and other texts as the judge ``auto`` does.
    """
    official = Rule(_relaxed, "within 5 % or equal")
    fixed = Rule(_relaxed_fixed, "within 5 % or equal", refuses=True)
    return choose_variant("relaxed", variant, official=official, fixed=fixed)


def _bare_float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def _relaxed(query: Query) -> bool:
    given = _bare_float(query.answer)

    def accepts(reference: str) -> bool:
        wanted = _bare_float(reference)
        if given is not None and wanted:
            return abs(given - wanted) / abs(wanted) <= float(TOLERANCE)
        return query.answer.lower() == reference.lower()

    return any(map(accepts, query.references))


def _relaxed_fixed(query: Query) -> bool:
    def accepts(reference: str) -> bool:
        answer = _with_percent_of(reference, query.answer, query.question)
        tolerance = 0 if _is_asked_year(reference, query.question) else TOLERANCE
        is_stated = strictly(replace(query, answer=answer, references=(reference,)))
        return is_stated or near(query.question, answer, reference, tolerance)

    return any(map(accepts, query.references))


def _is_asked_year(reference: str, question: str) -> bool:
    """Whether a reference is written like a year (1000 to 2199), and the question asks for one."""
    is_year = re.fullmatch(r"1[0-9]{3}|2[01][0-9]{2}", reference.strip()) is not None
    return is_year and bool(_ASKS_YEAR.search(question)) and not read_question(question).counted


def _with_percent_of(reference: str, answer: str, question: str) -> str:
    """An answer with one number, with or without a percent sign as the reference has it."""
    numbers, goals = list(NUMBER.finditer(answer)), list(NUMBER.finditer(reference))
    given, wanted = _PERCENT.search(answer), _PERCENT.search(reference)
    if len(numbers) != 1 or len(goals) != 1 or bool(given) is bool(wanted):
        return answer
    number, goal = numbers[0], goals[0]
    value, target = number_of(number), number_of(goal)
    if given:
        is_share = "." in goal[0] and abs(target) <= 1 and not read_question(question).percent
        value = value / 100 if is_share else value
        return answer[: number.start()] + written(value) + answer[given.end() :]
    is_share = "." in number[0] and abs(value) <= 1 < abs(target)
    value = value * 100 if is_share else value
    return f"{answer[: number.start()]}{written(value)}%{answer[number.end() :]}"


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
    official, fixed = Rule(_vqa, "agreement"), Rule(_vqa_fixed, "agreement", refuses=True)
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


def _vqa(query: Query) -> float:
    if (got := len(query.references)) != ANNOTATORS:
        raise Unscored(f"official VQA accuracy needs {ANNOTATORS} references, got {got}")
    answer, references = query.answer.strip(), [ref.strip() for ref in query.references]
    if len(set(references)) > 1:
        answer, references = normalise(answer), [normalise(ref) for ref in references]
    matches = [ref == answer for ref in references]
    return sum(min(1.0, (sum(matches) - match) / _NEEDED) for match in matches) / ANNOTATORS


def _vqa_fixed(query: Query) -> float:
    answer = normalise(query.answer)
    total = sum(normalise(reference) == answer for reference in query.references)
    needed = max(1, math.ceil(_NEEDED * len(query.references) / ANNOTATORS))
    return min(1.0, total / needed)


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
        fixed=Rule(_yesno_fixed, "clearly the right side", refuses=True),
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


def _yesno_fixed(query: Query) -> bool:
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
