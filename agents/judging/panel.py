"""The judge ``panel``: the majority of several judges."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from agents.judging.combined import CombinedJudge
from vt_env.errors import ConfigError
from vt_env.judges.base import JudgeLike, Query, Verdict, when_done
from vt_env.judges.registry import make_judge
from vt_env.specs import split_outside


def panel_judge(spec: str = "") -> Panel:
    """From ``JUDGE+JUDGE+JUDGE``; brackets keep a plus sign to one of them.

    Raises:
        ConfigError: If fewer than two judges are named.
    """
    members = [part.strip() for part in split_outside(spec, "+")]
    if len(members) < 2 or not all(members):
        raise ConfigError("the judge 'panel' needs at least two, as in panel:JUDGE+JUDGE+JUDGE")
    return Panel([make_judge(member) for member in members])


class Panel(CombinedJudge):
    """Right or wrong is what more than half of all members say; else it is unscored.

    A member that leaves an answer unscored has no voice but counts as a member: of three, two must
    agree whatever the third does. The score is the share of all members that say right.

    Args:
        judges: The members.

    Raises:
        ConfigError: If there are fewer than two.
    """

    def __init__(self, judges: Sequence[JudgeLike]) -> None:
        if len(judges) < 2:
            raise ConfigError(f"a panel has at least two members, got {len(judges)}")
        super().__init__(*map(make_judge, judges))
        self.name = f"panel:{'+'.join(judge.name for judge in judges)}"
        self.per_rollout = any(judge.per_rollout for judge in self.judges)

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query, in order; the members judge at the same time where they can."""
        return self.submit(queries).result()

    def submit(self, queries: Sequence[Query]) -> Future[list[Verdict]]:
        """Have all members begin, and return."""
        self.begin(queries)  # else a member that judges at once would hold up the others
        parts = [judge.submit(queries) for judge in self.judges]

        def collect() -> list[Verdict]:
            rows = zip(*(part.result() for part in parts), strict=True)
            return [self._majority(row) for row in rows]

        return when_done(parts, collect)

    def _majority(self, verdicts: Sequence[Verdict]) -> Verdict:
        said = [verdict.correct for verdict in verdicts]
        right, wrong, members = said.count(True), said.count(False), len(said)
        count = f"{right} right, {wrong} wrong, {members - right - wrong} unscored"
        if 2 * max(right, wrong) <= members:
            return Verdict(None, self.name, f"no majority: {count}")
        return Verdict(right > wrong, self.name, count, right / members)
