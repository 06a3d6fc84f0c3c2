"""Counts of a preparation, kept while its rows go by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.preparation.log import PLAYED, REFUSED, STATUSES
from experiments.preparation.rule import CLASSES, Arm, Rule
from experiments.preparation.selection import class_of
from experiments.summary import wilson

UNSCORED = "unscored"
"""Rolled out, but of no class, since too few of its rollouts were scored."""
SHOWN = 100
"""Rows that ``report.json`` names, of those that are of no class; all are in ``rollouts.jsonl``."""


@dataclass(slots=True)
class _Side:
    """Sums over the rollouts at one resolution."""

    n: int = 0
    right: int = 0
    unscored: int = 0
    formed: int = 0
    tokens: int = 0
    full_tokens: int = 0

    def add(self, rollouts: list[dict[str, Any]], full_tokens: int) -> None:
        arm = Arm.of(rollouts)
        self.n += arm.rollouts
        self.right += arm.right
        self.unscored += arm.unscored
        self.formed += sum(rollout["well_formed"] for rollout in rollouts)
        self.tokens += sum(rollout["tokens"] for rollout in rollouts)
        self.full_tokens += full_tokens * len(rollouts)

    def measured(self) -> dict[str, Any]:
        """With the names of :func:`experiments.summary.measure`; nobody can ask here."""
        scored, n = self.n - self.unscored, self.n
        return {
            "n": n,
            "accuracy": self.right / scored if scored else None,
            "request_rate": 0.0 if n else None,
            "visual_tokens": self.tokens / n if n else None,
            "token_ratio": self.tokens / self.full_tokens if n else None,
            "format_rate": self.formed / n if n else None,
            "unscored": self.unscored,
            "refused": 0,
            "futile_requests": 0,
            "interval_95": {
                "accuracy": wilson(self.right, scored),
                "request_rate": wilson(0, n),
                "format_rate": wilson(self.formed, n),
                "visual_tokens": None,
                "token_ratio": None,
            },
        }


@dataclass(slots=True)
class Tally:
    """What ``report.json`` says.

    Attributes:
        rule: Says of which class a sample is.
        status: Samples by status.
        classes: Samples by class, the unscored ones included.
        grid: Samples whose rollouts were all scored, by (right at low, right at full).
        aside: The first samples that are of no class, with the reason.
        sources: Samples of each class by the source that the data name.
    """

    rule: Rule
    status: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    grid: Counter[tuple[int, int]] = field(default_factory=Counter)
    aside: list[dict[str, str]] = field(default_factory=list)
    sources: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    sides: dict[str, defaultdict[str, _Side]] = field(
        default_factory=lambda: {"low": defaultdict(_Side), "full": defaultdict(_Side)}
    )

    def add(self, row: Mapping[str, Any]) -> str:
        """Count a row.

        Returns:
            Its class, :data:`UNSCORED`, or why it was not played.
        """
        self.status[row["status"]] += 1
        if row["status"] != PLAYED:
            self._set_aside(row, row["status"], row["reason"])
            return row["status"]
        arms = [Arm.of(row[key]) for key in ("low", "full")]
        for key, sides in self.sides.items():
            for name in ("", row["kind"] or "(no kind)"):
                sides[name].add(row[key], row["full_tokens"])
        missing = sum(arm.unscored for arm in arms)
        if not missing:
            self.grid[arms[0].right, arms[1].right] += 1
        name = class_of(row, self.rule)
        if name is None:
            name = UNSCORED
            total = sum(arm.rollouts for arm in arms)
            self._set_aside(
                row,
                name,
                f"{missing} of {total} rollouts are unscored, and its class hangs on them",
            )
        self.classes[name] += 1
        self.sources[row["source"]][name] += 1
        return name

    def result(self, name: str) -> dict[str, Any]:
        """The rollouts at ``low`` or ``full``, measured as ``result.json`` of an evaluation is."""
        sides = self.sides[name]
        made = {key: side.measured() for key, side in sides.items() if key}
        return {**sides[""].measured(), "by_kind": dict(sorted(made.items()))}

    def report(self) -> dict[str, Any]:
        """All of it, JSON-serialisable."""
        return {
            "samples": self.status.total(),
            "status": {name: self.status[name] for name in STATUSES},
            "classes": {name: self.classes[name] for name in (*CLASSES, UNSCORED)},
            "by_source": {source: dict(counts) for source, counts in sorted(self.sources.items())},
            "rollouts": {key: self.result(key) for key in self.sides},
            "right_at": [
                {"low": low, "full": full, "samples": count}
                for (low, full), count in sorted(self.grid.items())
            ],
            "set_aside": self.aside,
        }

    def _set_aside(self, row: Mapping[str, Any], why: str, reason: str) -> None:
        if len(self.aside) < SHOWN or why == REFUSED:
            self.aside.append({"id": row["id"], "why": why, "reason": reason})
