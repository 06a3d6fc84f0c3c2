"""From success counts at two resolutions to classes of difficulty, and how many of each are kept.

arXiv 2507.13348, Sec. 3.5: a sample is rolled out 8 times at each resolution at temperature 1. All
8 right at both: the low resolution is enough. At least 6 more right at the full resolution: it
needs the full one. 10,000 of each are kept, and nothing of the others.

Who is kept is drawn by lot: a hash of the seed and the sample's id, of which the lowest are taken.
That needs no more memory than what it keeps, and does not depend on the order of the data: with
more data, or a larger size, the choice only changes where it must.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from experiments.summary import wilson
from vt_env import ConfigError
from vt_env.errors import unknown_name

PLAYED, DUPLICATE, CONTAMINATED, REFUSED = "played", "duplicate", "contaminated", "refused"
STATUSES = (PLAYED, DUPLICATE, CONTAMINATED, REFUSED)
LOW_ENOUGH, NEEDS_HIGH, REST = "low_enough", "needs_high", "rest"
CLASSES = (LOW_ENOUGH, NEEDS_HIGH, REST)
"""Low is enough; needs the full resolution; neither can be said."""
UNSCORED = "unscored"
"""Rolled out, but of no class, since too few of its rollouts were scored."""
ARMS = ("low", "full")
"""The resolutions."""
PER_CLASS = 10_000
"""Samples of each class (paper: Sec. 3.5)."""
_NAMED = 100
"""Rows that ``report.json`` names, of those that are of no class; all are in ``rollouts.jsonl``."""

Row = Mapping[str, Any]
"""A line of ``rollouts.jsonl``, see :mod:`experiments.preparation.run`."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What the judge said of one sample's rollouts at one resolution.

    Attributes:
        right: Rollouts judged correct.
        unscored: Rollouts of which no judgement could be had.
        rollouts: All of them.
    """

    right: int
    unscored: int
    rollouts: int

    @classmethod
    def of(cls, rollouts: Sequence[Mapping[str, Any]]) -> Arm:
        """The counts of rollouts as ``rollouts.jsonl`` has them."""
        verdicts = [rollout["correct"] for rollout in rollouts]
        return cls(verdicts.count(True), verdicts.count(None), len(verdicts))

    @property
    def scored(self) -> int:
        """Rollouts with a judgement."""
        return self.rollouts - self.unscored

    @property
    def possible(self) -> range:
        """How many can be right: the unscored ones may be right or wrong."""
        return range(self.right, self.right + self.unscored + 1)

    def row(self) -> dict[str, int]:
        """As written into data: right and scored rollouts."""
        return {"right": self.right, "scored": self.scored}


@dataclass(frozen=True, slots=True)
class Rule:
    """When a sample is of which class.

    Attributes:
        rollouts: Rollouts at each resolution (paper: 8).
        enough: ``low_enough``: at least so many are right at both (paper: all).
        gap: ``needs_high``: at least so many more are right at the full resolution (paper: 6).
    """

    rollouts: int = 8
    enough: int = 8
    gap: int = 6

    def __post_init__(self) -> None:
        for name in ("enough", "gap"):
            if not 1 <= (value := getattr(self, name)) <= self.rollouts:
                raise ConfigError(
                    f"{name} is a number of rollouts from 1 to {self.rollouts}, got {value}"
                )
        if self.rollouts - self.enough >= self.gap:
            raise ConfigError(
                f"with {self.rollouts} rollouts, enough={self.enough} and gap={self.gap} a sample "
                "could be of both classes; raise one of them"
            )

    def of(self, low: Arm, full: Arm) -> str | None:
        """The class; ``None`` where it hangs on how an unscored rollout would have been judged."""
        found = {self._of(a, b) for a in low.possible for b in full.possible}
        return found.pop() if len(found) == 1 else None

    def _of(self, low: int, full: int) -> str:
        if min(low, full) >= self.enough:
            return LOW_ENOUGH
        return NEEDS_HIGH if full - low >= self.gap else REST

    def of_row(self, row: Row) -> str | None:
        """The class of a sample that was rolled out; ``None`` where judgements are missing."""
        return self.of(*(Arm.of(row[arm]) for arm in ARMS))


def lot(seed: int, sample_id: str) -> int:
    """A sample's lot: 64 bits."""
    text = f"{seed} {sample_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class LowestLots:
    """The places of the lowest lots of a stream, at most ``most``."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: list[tuple[int, int]] = []

    def add(self, drawn: int, place: int) -> None:
        """Offer one."""
        push = heapq.heappush if len(self._kept) < self.most else heapq.heappushpop
        push(self._kept, (-drawn, -place))

    def __len__(self) -> int:
        return len(self._kept)

    def places(self, count: int) -> list[int]:
        """The places of the ``count`` lowest lots, in ascending order."""
        return sorted(-place for _, place in heapq.nlargest(count, self._kept))


def drawn(
    rows: Iterable[Row],
    names: Iterable[str],
    name_of: Callable[[Row], str | None],
    most: int,
    seed: int,
    equal: bool = True,
) -> dict[str, list[int]]:
    """Places in the source by name, ascending; rows are read once.

    Args:
        rows: All of ``rollouts.jsonl``.
        names: What is drawn.
        name_of: Which of them a sample that was rolled out is; any other value is passed over.
        most: Of each name.
        seed: Of the draw.
        equal: Whether each is cut to what the smallest of them has.
    """
    kept = {name: LowestLots(most) for name in names}
    for row in rows:
        if row["status"] == PLAYED and (name := name_of(row)) in kept:
            kept[name].add(lot(seed, row["id"]), row["n"])
    least = min(map(len, kept.values()))
    return {name: lots.places(least if equal else len(lots)) for name, lots in kept.items()}


@dataclass(frozen=True, slots=True)
class Balance:
    """How many of which classes are kept.

    Attributes:
        classes: Which (paper: ``low_enough`` and ``needs_high``).
        per_class: At most so many of each.
        equal: Whether each is cut to what the smallest of them has.
        seed: Of the draw.
    """

    classes: tuple[str, ...] = (LOW_ENOUGH, NEEDS_HIGH)
    per_class: int = PER_CLASS
    equal: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in CLASSES:
                raise unknown_name("class", name, CLASSES)
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"classes are some of {', '.join(CLASSES)}, each once")
        if self.per_class < 1:
            raise ConfigError(f"per_class must be at least 1, got {self.per_class}")

    def choose(self, rows: Iterable[Row], rule: Rule) -> dict[str, list[int]]:
        """Places in the source by class; see :func:`drawn`."""
        return drawn(rows, self.classes, rule.of_row, self.per_class, self.seed, self.equal)


class _Side(Counter[str]):
    """Sums over the rollouts at one resolution.

    The rollouts of a sample are alike, so intervals count samples: a rate's is that of as many
    independent draws as there are samples.
    """

    def add(self, rollouts: list[dict[str, Any]], full_tokens: int) -> None:
        arm = Arm.of(rollouts)
        self.update(
            samples=1,
            judged=int(arm.scored > 0),
            n=arm.rollouts,
            right=arm.right,
            scored=arm.scored,
            formed=sum(rollout["well_formed"] for rollout in rollouts),
            tokens=sum(rollout["tokens"] for rollout in rollouts),
            full=full_tokens * len(rollouts),
        )

    def measured(self) -> dict[str, Any]:
        """With the names of :func:`experiments.summary.measure`; nobody can ask here."""

        def over(part: str, whole: str) -> float | None:
            return self[part] / self[whole] if self[whole] else None

        rates = {
            "accuracy": (over("right", "scored"), self["judged"]),
            "request_rate": (over("asked", "n"), self["samples"]),
            "format_rate": (over("formed", "n"), self["samples"]),
        }
        means = {"visual_tokens": over("tokens", "n"), "token_ratio": over("tokens", "full")}
        return {
            "n": self["n"],
            **{name: rate for name, (rate, _) in rates.items()},
            **means,
            "unscored": self["n"] - self["scored"],
            "refused": 0,
            "futile_requests": 0,
            "interval_95": {
                **{name: wilson((rate or 0.0) * n, n) for name, (rate, n) in rates.items()},
                **dict.fromkeys(means),
            },
        }


@dataclass(slots=True)
class Tally:
    """What ``report.json`` says, counted while rows go by.

    Attributes:
        rule: Says of which class a sample is.
        status: Samples by status.
        classes: Samples by class, the unscored ones included.
        grid: Samples whose rollouts were all scored, by (right at low, right at full).
        aside: The first samples that are of no class, with the reason.
        sources: Samples of each class by the source that the data name.
        sides: Sums by resolution and kind; those of all samples under an empty kind.
    """

    rule: Rule
    status: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    grid: Counter[tuple[int, int]] = field(default_factory=Counter)
    aside: list[dict[str, str]] = field(default_factory=list)
    sources: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    sides: dict[str, defaultdict[str, _Side]] = field(
        default_factory=lambda: {arm: defaultdict(_Side) for arm in ARMS}
    )

    def add(self, row: Row) -> None:
        """Count a row."""
        self.status[row["status"]] += 1
        if row["status"] != PLAYED:
            self._set_aside(row, row["status"], row["reason"])
            return
        low, full = (Arm.of(row[arm]) for arm in ARMS)
        for arm, sides in self.sides.items():
            for kind in ("", row["kind"] or "(no kind)"):
                sides[kind].add(row[arm], row["full_tokens"])
        missing, total = low.unscored + full.unscored, low.rollouts + full.rollouts
        if not missing:
            self.grid[low.right, full.right] += 1
        name = self.rule.of(low, full) or UNSCORED
        if name == UNSCORED:
            why = f"{missing} of {total} rollouts are unscored, and its class hangs on them"
            self._set_aside(row, name, why)
        self.classes[name] += 1
        self.sources[row["source"]][name] += 1

    def result(self, arm: str) -> dict[str, Any]:
        """The rollouts at ``low`` or ``full``, measured as ``result.json`` of an evaluation is."""
        sides = self.sides[arm]
        kinds = {key: side.measured() for key, side in sorted(sides.items()) if key}
        return {**sides[""].measured(), "by_kind": kinds}

    def report(self) -> dict[str, Any]:
        """All of it, JSON-serialisable."""
        return {
            "samples": self.status.total(),
            "status": {name: self.status[name] for name in STATUSES},
            "classes": {name: self.classes[name] for name in (*CLASSES, UNSCORED)},
            "by_source": {source: dict(counts) for source, counts in sorted(self.sources.items())},
            "rollouts": {arm: self.result(arm) for arm in ARMS},
            "right_at": [
                {"low": low, "full": full, "samples": count}
                for (low, full), count in sorted(self.grid.items())
            ],
            "set_aside": self.aside,
        }

    def _set_aside(self, row: Row, why: str, reason: str) -> None:
        if len(self.aside) < _NAMED or why == REFUSED:
            self.aside.append({"id": row["id"], "why": why, "reason": reason})
