"""The maths judge: equality of values and expressions.

Both sides must be read whole and are compared by shape and value (:mod:`vt_env.maths`). What is
too large to be worked out is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vt_env.judges.base import Judge, Query, Verdict
from vt_env.judges.characters import fold, objection, usable
from vt_env.judges.expressions import normal_form, same_form, split_assignment
from vt_env.judges.matching import without_announcement
from vt_env.judges.questions import read_question
from vt_env.maths.arithmetic import TooLarge, equal, is_worked_out
from vt_env.maths.latex import delatex, undelimited
from vt_env.maths.parser import Node, parse

NOT_EQUAL = "not equal"
"""The reason where two expressions were compared and are not equal."""
Pair = tuple[Node, Node]
"""An answer and a reference, both read whole."""

_SPACED_FACTOR = re.compile(r"(\\[dt]?frac\S{0,80}\}) (?=[a-zA-Z](?![a-zA-Z]))")
r"""A space that LaTeX does not see: ``\frac{1}{2} x`` is a product."""
_OPERATION = re.compile(r"[-+*/^(√!]")
_LONGEST = 1_500
"""Characters of a question, from its end, that are read."""


class MathJudge(Judge):
    """Scores mathematical answers: equal expressions are right."""

    name = "math"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query; unscored without a reference."""
        return [self._judge(query) for query in queries]

    def _judge(self, query: Query) -> Verdict:
        references = usable(query.references)
        if not references:
            return Verdict(None, self.name, "no usable reference")
        if problem := objection(query.answer, query.references, query.question):
            return Verdict(False, self.name, problem)
        claim = without_announcement(query.answer.strip())
        if any(same_form(plain(claim), plain(reference)) for reference in references):
            return Verdict(True, self.name, "same form")
        return compare(eligible(claim, references, query.question), self.name)


def plain(text: str) -> str:
    """A text without delimiters, folded, and without the LaTeX that has a plain equivalent."""
    text = _SPACED_FACTOR.sub(r"\1", fold(undelimited(text)))
    return fold(delatex(text))


def eligible(answer: str, references: Sequence[str], question: str) -> list[Pair]:
    """The pairs of an answer and a reference that can be compared as expressions.

    Not where a side is no expression as a whole or is a sum of plain numbers that is not worked
    out, and not where the answer repeats an expression of the question. A variable that the
    question assigns a value to may be left out (``x = 5`` for 5).
    """
    given = plain(answer)
    if parse(given) is None or _is_echo(given, question):
        return []
    asked, pairs = read_question(question), list[Pair]()
    for reference in references:
        sides = [parse(text) for text in split_assignment(given, plain(reference), asked)]
        read = [side for side in sides if side is not None and is_worked_out(side)]
        if len(read) == 2:
            pairs.append((read[0], read[1]))
    return pairs


def _is_echo(answer: str, question: str) -> bool:
    """Whether an answer is an expression of the question, which was to be worked on."""
    form = normal_form(answer)
    return bool(_OPERATION.search(form[1:])) and form in normal_form(plain(question[-_LONGEST:]))


def compare(pairs: Sequence[Pair], name: str) -> Verdict:
    """The verdict of the judge of a name on pairs of ``eligible``, of which any may match."""
    reason = NOT_EQUAL if pairs else "no expression to compare"
    for given, wanted in pairs:
        try:
            if equal(given, wanted):
                return Verdict(True, name, "equal expressions")
        except TooLarge as error:
            reason = str(error)
    return Verdict(False, name, reason)
