"""The one classifier behind ``auto``, ``cascade`` and ``panel``: right, wrong, or open.

An answer is right where every reading that the question leaves open agrees with a reference; it is
certainly wrong where none could agree with any, or where it has not the form of an answer; else it
is open, for a maths library or a language model to decide.
"""

from __future__ import annotations

from dataclasses import dataclass

from vt_env.judges.base import Query
from vt_env.judges.characters import is_blank, objection, usable
from vt_env.judges.matching import how_stated
from vt_env.judges.options import Options, choose, chooses, read_options
from vt_env.judges.polarity import side, side_taken, uses_truth
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.readings import clean, readings
from vt_env.judges.unfit import several_answers as _several_answers
from vt_env.judges.unfit import unfit


@dataclass(frozen=True, slots=True)
class Class:
    """What the rules say of an answer: right, certainly wrong, or open (``None``), and why.

    ``open`` are the references that an equal expression may still match, as they were given.
    """

    correct: bool | None
    reason: str
    open: tuple[str, ...] = ()


def classify(query: Query) -> Class:
    """Classifies the answer of a query that has a usable reference."""
    references = usable(query.references)
    given = query.answer.strip()
    if any(given == reference.strip() for reference in references):
        return Class(True, "equal to a reference")
    if problem := objection(query.answer, query.references, query.question):
        return Class(False, problem)
    answer, asked = clean(query.answer), read_question(query.question)
    options = read_options(query.question, query.choices)
    if query.answer_type not in ("", "mcq"):
        options = None
    found = [
        _compare(answer, clean(reference), reference, asked, options)
        for reference in references
        if not is_blank(reference)
    ]
    for one in found:
        if one.correct:
            return one
    if found and all(one.correct is False for one in found):
        return found[0]
    still = tuple(reference for one in found for reference in one.open)
    cleaned = [clean(reference) for reference in references]
    if problem := unfit(answer, cleaned, asked):
        return Class(False, problem, still)
    return Class(None, "no reference is stated", still)


def several_answers(query: Query) -> str:
    """Why an answer is none, since it is empty talk or several at once; else empty."""
    references = [clean(text) for text in usable(query.references)]
    return _several_answers(clean(query.answer), references, read_question(query.question))


def _compare(
    answer: str, reference: str, original: str, asked: Asked, options: Options | None
) -> Class:
    """Classifies an answer against one reference."""
    wanted = choose(reference, options) if options is not None else None
    if options is not None and wanted is not None:
        right = chooses(answer, wanted, options)
        return Class(right, "the right option" if right else "not the right option alone")
    wanted_side = side(reference, asked)
    if wanted_side is not None:
        taken = side_taken(answer, asked, uses_truth(reference, asked))
        if taken is None:
            return Class(None, "")
        same_side = taken is wanted_side
        return Class(same_side, "the right side" if same_side else "the other side")
    verdict, reason = how_stated(answer, reference, asked)
    are_values = bool(readings(answer, asked) and readings(reference, asked))
    return Class(verdict, reason, () if verdict is not None or are_values else (original,))
