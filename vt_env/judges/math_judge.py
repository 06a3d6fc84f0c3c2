r"""The maths judge: equality of values and expressions.

By form first; then math-verify (https://github.com/huggingface/Math-Verify) in a process that can
be killed, and only where the guards of ``expressions`` let it decide. What the process cannot
decide in time is unscored.
"""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.judges.assignments import split_assignment
from vt_env.judges.base import Query, Verdict
from vt_env.judges.characters import objection, usable
from vt_env.judges.expressions import comparable, same_form, to_latex
from vt_env.judges.math_process import MathProcess, NoReply, read_timeout, require
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.sameness import clean, same, same_kind
from vt_env.judges.sentences import claimed_expression, states

NOT_EQUAL = "not equal"
"""The reason where the library compared an answer with a reference and found no equality."""


def math(timeout: str | float = 5.0) -> MathJudge:
    """The maths judge; ``timeout`` is the time in seconds that one comparison may take."""
    require()
    return MathJudge(MathProcess(read_timeout(timeout)))


class MathJudge:
    """Scores mathematical answers with an own process for the library.

    Args:
        process: The process to ask; a default one when not given.

    Raises:
        MissingExtra: math-verify is not installed.
    """

    name = "math"

    def __init__(self, process: MathProcess | None = None) -> None:
        if process is None:
            require()
        self._process = process or MathProcess()

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query; ``None`` after a time-out or a crash of the library."""
        return [self._judge(query) for query in queries]

    def close(self) -> None:
        """Ends the process (it is started again when it is needed)."""
        self._process.close()

    def _judge(self, query: Query) -> Verdict:
        references = usable(query.references)
        if not references:
            return Verdict(None, self.name, "no usable reference")
        if problem := objection(query.answer, query.references, query.question):
            return Verdict(False, self.name, problem)
        answer, asked = clean(query.answer), read_question(query.question)
        for reference in references:
            if states(answer, clean(reference), asked, same):
                return Verdict(True, self.name, "same value or form")
        claimed = claimed_expression(query.answer, asked)
        return ask(self._process, eligible(claimed, references, asked), self.name)


def eligible(answer: str, references: Sequence[str], asked: Asked) -> list[tuple[str, str]]:
    """The pairs of expressions that the library may decide.

    Not those that are values of one kind (numbers, dates, times), which have been compared
    exactly, and not those that the guards keep apart.
    """
    pairs = [split_assignment(answer, clean(reference), asked) for reference in references]
    return [pair for pair in pairs if same_kind(*pair, asked) is None and comparable(*pair) is None]


def ask(process: MathProcess, pairs: Sequence[tuple[str, str]], name: str) -> Verdict:
    """Asks the library about pairs of an answer and a reference; any pair may match.

    Returns:
        Correct, wrong, or unscored when nothing matched and a comparison got no reply.
    """
    failure = ""
    for given, wanted in pairs:
        if same_form(given, wanted):
            return Verdict(True, name, "same form")
        try:
            if process.equal(to_latex(given), to_latex(wanted)):
                return Verdict(True, name, "equal for math-verify")
        except NoReply as error:
            failure = str(error)
    if failure:
        return Verdict(None, name, f"math-verify: {failure}")
    return Verdict(False, name, NOT_EQUAL)
