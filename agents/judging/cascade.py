"""The judge ``cascade``: strict rules for what is certain, another judge for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from agents.judging.combined import CombinedJudge
from vt_env.errors import ConfigError
from vt_env.judges.auto import AutoJudge
from vt_env.judges.base import (
    Decision,
    Judge,
    JudgeLike,
    Query,
    Verdict,
    when_done,
)
from vt_env.judges.registry import make_judge


def cascade_judge(spec: str | Judge = "") -> Cascade:
    """From ``JUDGE``, with all its options; who decides what the judge ``auto`` leaves open.

    Raises:
        ConfigError: If no judge is named, or it needs to know the rollout.
    """
    if not spec:
        raise ConfigError(
            "the judge 'cascade' needs another one, as in "
            "cascade:openai:MODEL@http://127.0.0.1:8000/v1"
        )
    return Cascade(make_judge(spec))


class Cascade(CombinedJudge):
    """Rules, and a judge for what they leave open.

    What the rules accept is right, what they reject for certain is wrong; the judge decides the
    rest, and what it leaves unscored is unscored.

    Args:
        judge: Who decides what is open.
        rules: Who decides first; by default the judge ``auto``.

    Raises:
        ConfigError: If the judge needs to know the rollout.
    """

    def __init__(self, judge: JudgeLike, rules: AutoJudge | None = None) -> None:
        self.rules, self.judge = rules or AutoJudge(), make_judge(judge)
        super().__init__(self.rules, self.judge)
        if self.judge.per_rollout:
            raise ConfigError(
                f"the judge {judge.name!r} judges each rollout anew, which a cascade does not; put "
                "it around the cascade"
            )
        self.name = f"cascade:{judge.name}"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Future[list[Verdict]]:
        """Apply the rules, begin to judge the rest, and return."""
        decisions, left = self._decide(queries)
        rest = self.judge.submit(left)

        def collect() -> list[Verdict]:
            others = iter(rest.result())
            found = [d.verdict if d.certain else next(others) for d in decisions]
            return [Verdict(v.correct, self.name, v.reason, v.score) for v in found]

        return when_done((rest,), collect)

    def begin(self, queries: Sequence[Query]) -> None:
        """Start on what the rules leave open."""
        self.judge.begin(self._decide(queries)[1])

    def _decide(self, queries: Sequence[Query]) -> tuple[list[Decision], list[Query]]:
        """What the rules say of each query, and the queries that they leave open."""
        decisions = self.rules.decide(queries)
        return decisions, [q for q, d in zip(queries, decisions, strict=True) if not d.certain]
