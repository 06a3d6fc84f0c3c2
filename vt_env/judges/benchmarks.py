"""The rules of public benchmarks, as published (``official``) and repaired (``fixed``).

``official`` is what lmms-eval 0.7 computes, the harness that most reports (VisionThink's too) use;
``make test-lmms`` compares the two. The fixed rules refuse tags, hidden and look-alike characters.
"""

from __future__ import annotations

import re
from fractions import Fraction

from vt_env.judges.base import Query
from vt_env.judges.characters import fold
from vt_env.judges.polarity import side, side_taken
from vt_env.judges.quantity import Quantity, parse_quantity
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.rule import RuleJudge, Ruling, choose_variant, refused
from vt_env.judges.sameness import agree, clean, same
from vt_env.judges.sentences import states

TOLERANCE = Fraction(1, 20)
"""Relative tolerance of ChartQA's relaxed accuracy."""
ANLS_THRESHOLD = 0.5
_LONGEST_ANLS = 1_000


def relaxed(variant: str = "fixed") -> RuleJudge:
    """ChartQA's relaxed accuracy: numbers within 5 % of the reference, other answers equal.

    Source: Masry et al. 2022, arXiv 2203.10244, Sec. 5; the tolerance is Methani et al. 2020's.

    ``official`` reads a number only from what Python's ``float`` takes, divides by 100 where it
    ends with a percent sign, and compares other texts in lower case. ``fixed`` differs: a reference
    that is a year has no tolerance (2010 is not 2019), ``47%`` equals 47, units must agree, numbers
    are read in any usual notation and in a sentence, and other texts are compared by form.
    """
    return choose_variant("relaxed", variant, {"official": _relaxed, "fixed": _relaxed_fixed})


def _bare_float(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None


def _relaxed(query: Query) -> Ruling:
    given = _bare_float(query.answer)
    for reference in query.references:
        wanted = _bare_float(reference)
        if given is not None and wanted:
            if abs(given - wanted) / abs(wanted) <= float(TOLERANCE):
                return Ruling(1.0, "within 5 %")
        elif query.answer.lower() == reference.lower():
            return Ruling(1.0, "equal")
    return Ruling(0.0, "neither within 5 % nor equal")


def _relaxed_fixed(query: Query) -> Ruling:
    def close(answer: str, reference: str, asked: Asked) -> bool:
        given, wanted = parse_quantity(answer), parse_quantity(reference)
        if given is None or wanted is None or is_year(reference):
            return same(answer, reference, asked)
        return within(given, wanted, TOLERANCE, asked)

    if bad := refused(query):
        return bad
    answer, asked = clean(query.answer), read_question(query.question)
    accepted = any(states(answer, clean(ref), asked, close) for ref in query.references)
    return Ruling.of(accepted, "within 5 % or equal", "neither within 5 % nor equal")


def is_year(reference: str) -> bool:
    """Whether a reference is written like a year: four digits, 1000 to 2199, nothing else."""
    return re.fullmatch(r"1[0-9]{3}|2[01][0-9]{2}", reference.strip()) is not None


def within(given: Quantity, wanted: Quantity, tolerance: Fraction, asked: Asked) -> bool:
    """Whether two quantities agree, unit included, up to a relative tolerance."""
    if agree(given, wanted, asked):
        return True
    if not tolerance or not wanted.value:
        return False
    factors: set[Fraction] = {Fraction(1)}
    for unit in given.units:
        factors |= {unit.factor / u.factor for u in wanted.units if u.dimension == unit.dimension}
    for factor in factors:
        if abs(given.value * factor - wanted.value) <= abs(wanted.value) * tolerance:
            snapped = Quantity(
                wanted.value / factor, given.units, given.noun, given.ordinal, wanted.scaled
            )
            return agree(snapped, wanted, asked)
    return False


def anls(variant: str = "fixed") -> RuleJudge:
    """Average normalised Levenshtein similarity with threshold 0.5, best over the references.

    Source: Biten et al. 2019, arXiv 1905.13648, Eq. 1; DocVQA (Mathew et al. 2021) uses it.
    With NL the edit distance over the longer length, the score is 1 - NL where NL < 0.5, else 0.

    ``official`` lower-cases, strips, and collapses white space before it counts edits, but takes
    the longer length from the texts as they came, and keeps a score of exactly 0.5; so does the
    DocVQA evaluation. ``fixed`` measures what it compares, follows the equation at 0.5, makes
    quotes, dashes and the like one, drops quotation marks and a final full stop around the text,
    and refuses tags, hidden and look-alike characters. References over 1000 characters are
    unscored unless equal.
    """
    return choose_variant("anls", variant, {"official": _anls, "fixed": _anls_fixed})


def _anls(query: Query) -> Ruling:
    answer = query.answer
    references = [ref for ref in query.references if len(ref) <= _LONGEST_ANLS or ref == answer]
    if not references:
        return Ruling(None, f"every reference is over {_LONGEST_ANLS} characters")
    best = max(_similarity_as_written(answer, reference) for reference in references)
    return Ruling(best, f"similarity {best:.3f}")


def _similarity_as_written(answer: str, reference: str) -> float:
    """The official similarity: edits between the spaced texts, over the length of the raw ones."""
    left, right = _spaced(answer), _spaced(reference)
    longest = max(len(answer.upper()), len(reference.upper()))
    if left == right or 1 - abs(len(left) - len(right)) / longest < ANLS_THRESHOLD:
        return float(left == right)
    score = 1 - edit_distance(left, right) / longest
    return score if score >= ANLS_THRESHOLD else 0.0


def _anls_fixed(query: Query) -> Ruling:
    if bad := refused(query):
        return bad
    return _best_similarity(_framed(query.answer), [_framed(ref) for ref in query.references])


def _spaced(text: str) -> str:
    return " ".join(text.lower().split())


def _framed(text: str) -> str:
    return fold(text).lower().strip("\"' ").removesuffix(".").strip("\"' ")


def _best_similarity(answer: str, references: list[str]) -> Ruling:
    usable = [ref for ref in references if ref and (len(ref) <= _LONGEST_ANLS or ref == answer)]
    if not usable:
        return Ruling(None, f"every reference is empty or over {_LONGEST_ANLS} characters")
    best = max(similarity(answer, reference) for reference in usable)
    return Ruling(best, f"similarity {best:.3f}")


def similarity(answer: str, reference: str) -> float:
    """1 - NL where the normalised edit distance NL is below the threshold, else 0."""
    longest = max(len(answer), len(reference))
    if answer == reference:
        return 1.0
    if abs(len(answer) - len(reference)) >= ANLS_THRESHOLD * longest:
        return 0.0
    distance = edit_distance(answer, reference) / longest
    return 1 - distance if distance < ANLS_THRESHOLD else 0.0


def edit_distance(left: str, right: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions, each of cost 1."""
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            current.append(min(previous[j] + 1, current[-1] + 1, previous[j - 1] + (a != b)))
        previous = current
    return previous[-1]


def substring(variant: str = "fixed") -> RuleJudge:
    """OCRBench: the reference occurs in the answer.

    Source: Liu et al. 2023, arXiv 2305.07895, Sec. 3.

    ``official`` looks for any reference in the lower-cased answer with line breaks as spaces and
    full-width characters as plain ones, so a long answer that lists many texts passes; for formulas
    (``answer_type`` ``math``: the rows of HME100k) it leaves out spaces and minds case. ``fixed``
    asks that the answer states the reference, alone or in one sentence, and nothing else.
    """
    return choose_variant("substring", variant, {"official": _contains, "fixed": _stated})


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def _contains(query: Query) -> Ruling:
    plain = _tight if query.answer_type == "math" else _one_line
    answer = plain(query.answer)
    found = any(plain(reference) in answer for reference in query.references)
    return Ruling.of(found, "contains the reference", "does not contain the reference")


def _one_line(text: str) -> str:
    return text.translate(_FULL_WIDTH).lower().strip().replace("\n", " ")


def _tight(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")


def _stated(query: Query) -> Ruling:
    if bad := refused(query):
        return bad
    answer, asked = clean(query.answer), read_question(query.question)
    found = any(states(answer, clean(ref), asked, same) for ref in query.references)
    return Ruling.of(found, "states the reference", "does not state just the reference")


def yesno(variant: str = "fixed") -> RuleJudge:
    """POPE and MME: yes or no.

    Source: Li et al. 2023, arXiv 2305.10355, and its released evaluation; Fu et al. 2023, arXiv
    2306.13394; lmms-eval.

    ``official`` reads the first sentence: *no* if it has the word ``no`` or ``not``, else *yes*,
    so that any other text counts as yes. lmms-eval differs: ``word`` (its POPE) accepts nothing but
    the one word, ``prefix`` (its MME) looks for either word in the first four characters. ``fixed``
    wants a clear side: ``Yes.`` and ``No, there
    is no dog`` have one; both words at once, a contradiction, or neither is wrong.
    """
    rules = {"official": _pope, "word": _word, "prefix": _prefix, "fixed": _pope_fixed}
    return choose_variant("yesno", variant, rules)


def _word(query: Query) -> Ruling:
    given = query.answer.lower().strip()
    equal = any(given == reference.lower().strip() for reference in query.references)
    return Ruling.of(equal, "the right word", "another word or more than one")


def _prefix(query: Query) -> Ruling:
    given = query.answer.lower().strip().replace(".", "")
    if len(given) == 1:
        said = {"y": "yes", "n": "no"}.get(given, "")
    else:
        said = next((word for word in ("yes", "no") if word in given[:4]), "")
    right = any(said == ref.lower().strip().replace(".", "") for ref in query.references)
    return Ruling.of(right, "begins with the right word", "begins with the other word or neither")


def _pope(query: Query) -> Ruling:
    wanted = _wanted_side(query)
    if wanted is None:
        return Ruling(None, "the reference is neither yes nor no")
    words = query.answer.split(".", 1)[0].replace(",", "").split()
    given = not {"No", "no", "not"} & set(words)
    return Ruling.of(given is wanted, "the right side", "the other side")


def _pope_fixed(query: Query) -> Ruling:
    wanted = _wanted_side(query)
    if wanted is None:
        return Ruling(None, "the reference is neither yes nor no")
    if bad := refused(query):
        return bad
    given = side_taken(clean(query.answer), read_question(query.question), truth_words=True)
    return Ruling.of(given is wanted, "the right side", "the other side or no clear one")


def _wanted_side(query: Query) -> bool | None:
    sides = {side(reference) for reference in query.references} - {None}
    return sides.pop() if len(sides) == 1 else None
