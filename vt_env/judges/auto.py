"""The strict judge for mixed answers: picks the rule by the kind of answer.

The kind is inferred from the references, the options, and the question. A text that is not fully
understood is wrong, never guessed at: see ``sentences`` for what a sentence may contain,
``sameness`` for what counts as the same, and ``characters`` for what is refused outright.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from vt_env.judges.base import Query, Verdict
from vt_env.judges.certainty import Decision, certainly_wrong
from vt_env.judges.characters import is_blank, objection, usable
from vt_env.judges.math_judge import NOT_EQUAL, ask, eligible
from vt_env.judges.math_process import MathProcess, is_installed, read_timeout
from vt_env.judges.options import choose, chooses, read_options
from vt_env.judges.polarity import side, side_taken
from vt_env.judges.questions import Asked, read_question
from vt_env.judges.sameness import clean, same, shortened, without_preposition
from vt_env.judges.sentences import claimed_expression, states

_TRUTH = re.compile(r"\b(?:true|false)\b", re.I)


def auto(timeout: str | float = 5.0) -> AutoJudge:
    """The auto judge; ``timeout`` is the time in seconds that one maths comparison may take."""
    return AutoJudge(MathProcess(read_timeout(timeout)) if is_installed() else None)


REMEMBERED = 16_384
"""Verdicts that a judge remembers; when it has so many it forgets all and begins anew."""


class AutoJudge:
    """Judges by rules alone, as strictly as the kind of answer allows.

    Order: no usable reference → unscored; equal to a reference → right; refused characters →
    wrong; multiple choice; yes/no; the same value, date, list, or phrase, bare or in a sentence;
    equal expressions (math-verify, where it is installed and the guards admit the pair).
    ``Query.answer_type`` only matters where it keeps a question with written options from being
    read as multiple choice: any type but ``mcq`` does.

    Without math-verify, expressions are compared by form only; the first pair that this concerns
    raises a ``RuntimeWarning``, and each verdict's reason says so. Deliberately refused, since a
    strict judge cannot tell: dates whose day and month may be swapped (``03/04/2019`` against a
    written date), a missing am or pm, a name or place with a part more or less, a rounded value.

    Verdicts are remembered, so that what many rollouts answer alike is judged once; unscored ones,
    which another try may decide, are not.

    Args:
        process: The process for maths; started only when a pair needs it.
    """

    name = "auto"

    def __init__(self, process: MathProcess | None = None) -> None:
        self._process = process
        self._can_ask = process is not None or is_installed()
        self._warned = False
        self._memory: dict[Query, Verdict] = {}
        self._decisions: dict[Query, Decision] = {}

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return [self._memory.get(query) or self._fresh(query) for query in queries]

    def decide(self, queries: Sequence[Query]) -> list[Decision]:
        """The same verdicts, each with whether it is certain, for judges that can ask further.

        Right is certain. Wrong is certain for what ``certainty`` understands, and where the maths
        library found two expressions unequal. Unscored is certain without a usable reference.
        """
        made: list[Decision] = []
        for query, verdict in zip(queries, self.score(queries), strict=True):
            decision = self._decisions.get(query) or self._decision(query, verdict)
            if len(self._decisions) == REMEMBERED:
                self._decisions.clear()
            if verdict.correct is not None:
                self._decisions[query] = decision
            made.append(decision)
        return made

    def _decision(self, query: Query, verdict: Verdict) -> Decision:
        if verdict.correct:
            return Decision(verdict, certain=True)
        references = usable(query.references)
        if verdict.correct is None:
            return Decision(verdict, certain=not references)
        if reason := certainly_wrong(query):
            return Decision(Verdict(False, self.name, reason), certain=True)
        unequal = verdict.reason == NOT_EQUAL and len(references) == 1
        return Decision(verdict, certain=unequal)

    def _fresh(self, query: Query) -> Verdict:
        verdict = self._judge(query)
        if len(self._memory) == REMEMBERED:
            self._memory.clear()
        if verdict.correct is not None:
            self._memory[query] = verdict
        return verdict

    def close(self) -> None:
        """Ends the maths process, if one was started."""
        if self._process is not None:
            self._process.close()

    def _judge(self, query: Query) -> Verdict:
        references = usable(query.references)
        if not references:
            return Verdict(None, self.name, "no usable reference")
        given = query.answer.strip()
        if any(given == reference.strip() for reference in references):
            return Verdict(True, self.name, "equal to a reference")
        problem = objection(query.answer, query.references, query.question)
        if problem:
            return Verdict(False, self.name, problem)
        open_ended: list[str] = []
        for reference in references:
            accepted, reason = _decide(query, reference)
            if accepted:
                return Verdict(True, self.name, reason)
            if accepted is None:
                open_ended.append(reference)
        return self._expression(query, open_ended)

    def _expression(self, query: Query, references: Sequence[str]) -> Verdict:
        asked = read_question(query.question)
        pairs = eligible(claimed_expression(query.answer, asked), references, asked)
        if not pairs:
            return Verdict(False, self.name, "no reference is stated")
        if not self._can_ask:
            self._warn()
            return Verdict(False, self.name, "not the same form (math-verify is not installed)")
        self._process = self._process or MathProcess()
        return ask(self._process, pairs, self.name)

    def _warn(self) -> None:
        if self._warned:
            return
        self._warned = True
        warnings.warn(
            "math-verify is not installed, so the auto judge compares expressions by form only; "
            'pip install "visionthink-gym[math]"',
            RuntimeWarning,
            stacklevel=5,
        )


def _decide(query: Query, reference: str) -> tuple[bool | None, str]:
    """A decision by form and its reason; ``None`` where equal expressions may still decide."""
    if is_blank(reference):
        return False, ""
    answer = clean(query.answer)
    options = read_options(query.question, query.choices)
    if options is not None and query.answer_type in ("", "mcq"):
        wanted = choose(reference, options)
        if wanted is not None:
            return chooses(answer, wanted, options), "the right option"
    asked = read_question(query.question)
    wanted_side = side(reference)
    if wanted_side is not None:
        truth = bool(_TRUTH.search(f"{reference} {query.question}"))
        return side_taken(answer, asked, truth) is wanted_side, "the right side"
    reason = _how_stated(answer, clean(reference), asked)
    return (True, reason) if reason else (None, "")


def _how_stated(answer: str, reference: str, asked: Asked) -> str:
    """How an answer states the reference; empty when it does not."""
    if states(answer, reference, asked, same):
        return "states the reference"
    short = shortened(reference, asked)
    if short != reference and states(answer, short, asked, same):
        return "states the reference without a word of the question"
    place = without_preposition(reference)
    if place != reference and same(answer, place, asked):
        return "states the reference without its preposition"
    return ""
