"""The judge ``panel``: the majority of several judges."""

from __future__ import annotations

from collections.abc import Sequence

from vt_env.errors import ConfigError
from vt_env.judges.base import Judge, Query, Verdict, close, submit
from vt_env.judges.models.judging import Batch
from vt_env.judges.models.settings import EXAMPLES
from vt_env.judges.models.usage import Usage, total, usage_of
from vt_env.judges.registry import make_judge, split_outside


def panel_judge(spec: str = "") -> Panel:
    """From ``JUDGE+JUDGE+JUDGE``; brackets keep a plus sign to one of them.

    Raises:
        ConfigError: If fewer than two judges are named.
    """
    members = [part.strip() for part in split_outside(spec, "+")]
    if len(members) < 2 or not all(members):
        raise ConfigError(f"the judge 'panel' needs at least two, as in {EXAMPLES['panel']}")
    return Panel([make_judge(member) for member in members])


class Panel:
    """Right or wrong is what more than half of all members say; else it is unscored.

    A member that leaves an answer unscored has no voice but counts as a member: of three, two must
    agree whatever the third does. The score is the share of all members that say right.

    Attributes:
        per_rollout: Whether some member has to know the rollout.

    Args:
        judges: The members.

    Raises:
        ConfigError: If there are fewer than two.
    """

    def __init__(self, judges: Sequence[Judge]) -> None:
        if len(judges) < 2:
            raise ConfigError(f"a panel has at least two members, got {len(judges)}")
        self.judges = list(judges)
        self.name = f"panel:{'+'.join(judge.name for judge in judges)}"
        self.per_rollout = any(getattr(judge, "per_rollout", False) for judge in judges)

    @property
    def usage(self) -> Usage:
        """What all members took together."""
        parts = map(usage_of, self.judges)
        return total(part for part in parts if part is not None)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; the members judge at the same time where they can."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Batch:
        """Have all members begin; ``result()`` waits."""
        pending = [submit(judge, queries) for judge in self.judges]

        def collect() -> list[Verdict]:
            rows = zip(*(waiting.result() for waiting in pending), strict=True)
            return [self._majority(row) for row in rows]

        return Batch(collect)

    def close(self) -> None:
        """Close all members."""
        for judge in self.judges:
            close(judge)

    def _majority(self, verdicts: Sequence[Verdict]) -> Verdict:
        said = [verdict.correct for verdict in verdicts]
        right, wrong, members = said.count(True), said.count(False), len(said)
        count = f"{right} right, {wrong} wrong, {members - right - wrong} unscored"
        if 2 * max(right, wrong) <= members:
            return Verdict(None, self.name, f"no majority: {count}")
        return Verdict(right > wrong, self.name, count, right / members)
