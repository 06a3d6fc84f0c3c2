"""The judge of the recorded transcripts, which decides by the text alone and always alike."""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.judges import Query, Verdict

UNSCORED = "plain"
"""The answer that it does not score."""


class Recorded:
    """Right is what is equal to a reference; one answer is never scored; all others are wrong.

    Also ``judge="conformance"``, for trainers whose environment is made from names.
    """

    name = "conformance"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return [self._verdict(query) for query in queries]

    def _verdict(self, query: Query) -> Verdict:
        if query.answer == UNSCORED:
            return Verdict(None, self.name, "not scored, as recorded")
        return Verdict(query.answer in query.references, self.name, "compared")
