"""The judge ``cascade``: strict rules for what is certain, another judge for the rest."""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.errors import ConfigError
from vt_env.judges.auto import AutoJudge, auto
from vt_env.judges.base import Judge, Query, Verdict, close, submit
from vt_env.judges.models.judging import Batch
from vt_env.judges.models.settings import EXAMPLES
from vt_env.judges.models.usage import Usage, usage_of
from vt_env.judges.registry import make_judge


def cascade_judge(spec: str | Judge = "") -> Cascade:
    """From ``JUDGE``, with all its options; who decides what the judge ``auto`` leaves open.

    Raises:
        ConfigError: If no judge is named, or it needs to know the rollout.
    """
    if not spec:
        raise ConfigError(f"the judge 'cascade' needs another one, as in {EXAMPLES['cascade']}")
    return Cascade(make_judge(spec))


class Cascade:
    """Rules, and a judge for what they leave open.

    What the rules accept is right, what they reject for certain is wrong; the judge decides the
    rest, and what it leaves unscored is unscored.

    Args:
        judge: Who decides what is open.
        rules: Who decides first.

    Raises:
        ConfigError: If the judge needs to know the rollout.
    """

    def __init__(self, judge: Judge, rules: AutoJudge | None = None) -> None:
        if getattr(judge, "per_rollout", False):
            raise ConfigError(
                f"the judge {judge.name!r} judges each rollout anew, which a cascade does not; put "
                "it around the cascade"
            )
        self.judge = judge
        self.rules = rules or auto()
        self.name = f"cascade:{judge.name}"

    @property
    def usage(self) -> Usage | None:
        """What the second judge took, if it counts."""
        return usage_of(self.judge)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Batch:
        """Apply the rules, begin to judge the rest, and return; ``result()`` waits."""
        decisions = self.rules.decide(queries)
        left = [q for q, d in zip(queries, decisions, strict=True) if not d.certain]
        pending = submit(self.judge, left)

        def collect() -> list[Verdict]:
            others = iter(pending.result())
            found = [d.verdict if d.certain else next(others) for d in decisions]
            return [Verdict(v.correct, self.name, v.reason, v.score) for v in found]

        return Batch(collect)

    def close(self) -> None:
        """Close both judges."""
        self.rules.close()
        close(self.judge)
