"""The strict judge for mixed answers: rules, and the comparison of what they leave open."""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.judges.base import Decision, Judge, Query, Verdict
from vt_env.judges.characters import is_too_long, usable
from vt_env.judges.classify import classify
from vt_env.judges.math_judge import NOT_EQUAL, compare, eligible
from vt_env.judges.memory import REMEMBERED, Recent, fingerprint
from vt_env.judges.readings import clean


class AutoJudge(Judge):
    """Judges by rules alone, as strictly as the kind of answer allows.

    See ``classify`` for the rules. What they leave open and is wholly mathematical is compared as
    expressions (``math_judge``); what stays open is wrong for ``score``. An ``answer_type`` other
    than ``mcq`` keeps written options from being read. Deliberately refused, since a strict judge
    cannot tell: dates whose day and month may be swapped, a missing am or pm, a name or place with
    a part more or less, a rounded value.

    Decisions are remembered by a hash of the query, so that equal answers are judged once. Safe to
    use from threads.
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
