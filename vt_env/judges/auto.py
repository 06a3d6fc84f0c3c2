"""The strict judge for mixed answers, and the one classifier behind it, ``cascade`` and ``panel``.

An answer is right where every reading that the question leaves open agrees with a reference; it is
certainly wrong where none could agree with any, or where it has not the form of an answer; else it
is open, for a comparison of expressions or a language model to decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vt_env.judges.base import Decision, Judge, Query, Verdict
from vt_env.judges.characters import is_blank, is_too_long, objection, usable
from vt_env.judges.matching import how_stated
from vt_env.judges.math_judge import NOT_EQUAL, compare, eligible
from vt_env.judges.memory import REMEMBERED, Recent, fingerprint
from vt_env.judges.options import Options, choose, chooses, read_options
from vt_env.judges.polarity import side, side_taken, uses_truth
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.readings import clean, readings
from vt_env.judges.unfit import several_answers as _several_answers
from vt_env.judges.unfit import unfit


class AutoJudge(Judge):
    """Judges by rules alone, as strictly as the kind of answer allows.

    See ``classify`` for the rules. What they leave open and is wholly mathematical is compared as
    expressions (``math_judge``); what stays open is wrong for ``score``. An ``answer_type`` other
    than ``mcq`` keeps written options from being read. Deliberately refused, since a strict judge
    cannot tell: dates whose day and month may be swapped, a missing am or pm, a name or place with
    a part more or less, a rounded value.

    Decisions are remembered by a hash of the query, so that equal answers are judged once. Threads
    may share it.
    """

    name = "auto"

    def __init__(self) -> None:
        self._memory = Recent[Decision](REMEMBERED)

    def __reduce__(self) -> tuple[type[AutoJudge], tuple[()]]:
        return AutoJudge, ()

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return [decision.verdict for decision in self.decide(queries)]

    def decide(self, queries: Sequence[Query]) -> list[Decision]:
        """The same verdicts, each with whether it is certain, for judges that can ask further.

        Right is certain, and so is wrong unless it is only not understood. Unscored is certain
        without a usable reference.
        """
        return [self._decide(query) for query in queries]

    def _decide(self, query: Query) -> Decision:
        references = usable(query.references)
        if not references:
            return Decision(Verdict(None, self.name, "no usable reference"), certain=True)
        if is_too_long(query.answer, references):
            return Decision(Verdict(False, self.name, "answer too long"), certain=True)
        key = fingerprint(query)
        decision = self._memory.get(key)
        if decision is None:
            decision = self._judge(query, references)
            self._memory.add(key, decision)
        return decision

    def _judge(self, query: Query, references: Sequence[str]) -> Decision:
        found = classify(query)
        pairs = eligible(clean(query.answer), found.open, query.question) if found.open else []
        if found.correct or (found.correct is False and not pairs):
            return Decision(Verdict(found.correct, self.name, found.reason), certain=True)
        if not pairs:
            return Decision(Verdict(False, self.name, found.reason), certain=False)
        verdict = compare(pairs, self.name)
        surely = verdict.reason == NOT_EQUAL and len(references) == 1
        return Decision(verdict, certain=bool(verdict.correct) or surely or found.correct is False)


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
