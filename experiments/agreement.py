"""How far a judge's verdicts agree with labels: agreement, Cohen's kappa, what attacks achieve."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from experiments.summary import wilson

if TYPE_CHECKING:
    from rich.table import Table

KIND_FIELDS = ("attack", "kind", "category")
"""Fields of a row that say of which kind it is; the first that is there counts."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Verdicts against labels, over rows that have a label and a verdict.

    Attributes:
        right_accepted: Labelled right, judged right.
        right_rejected: Labelled right, judged wrong.
        wrong_accepted: Labelled wrong, judged right: false accepts.
        wrong_rejected: Labelled wrong, judged wrong.
        unscored: Labelled, without a verdict.
    """

    right_accepted: int
    right_rejected: int
    wrong_accepted: int
    wrong_rejected: int
    unscored: int = 0

    @property
    def n(self) -> int:
        """Rows with a label and a verdict."""
        return self.right_accepted + self.right_rejected + self.wrong_accepted + self.wrong_rejected

    @property
    def share(self) -> float | None:
        """Share of rows on which both say the same, in [0, 1]."""
        return (self.right_accepted + self.wrong_rejected) / self.n if self.n else None

    @property
    def kappa(self) -> float | None:
        """Agreement beyond chance (Cohen 1960), at most 1; ``None`` where chance agrees fully."""
        if self.share is None:
            return None
        labelled = (self.right_accepted + self.right_rejected) / self.n
        accepted = (self.right_accepted + self.wrong_accepted) / self.n
        chance = labelled * accepted + (1 - labelled) * (1 - accepted)
        return (self.share - chance) / (1 - chance) if chance < 1 else None


def agreement(pairs: Iterable[tuple[bool | None, bool | None]]) -> Agreement:
    """Counts of (label, verdict); rows without a label do not count."""
    counts = Counter(pair for pair in pairs if pair[0] is not None)
    return Agreement(
        counts[True, True],
        counts[True, False],
        counts[False, True],
        counts[False, False],
        counts[True, None] + counts[False, None],
    )


def kind_of(row: Mapping[str, Any]) -> str:
    """Of which kind a row is; empty where it does not say."""
    return next((str(row[name]) for name in KIND_FIELDS if row.get(name)), "")


def agreement_table(found: Agreement) -> Table:
    """One line: agreement with its interval, kappa, false accepts and rejects."""
    from rich.table import Table

    table = Table(title="agreement with the labels")
    for header in ("n", "agreement", "95 %", "kappa", "false accepts", "false rejects", "unscored"):
        table.add_column(header, justify="right")
    wrong = found.wrong_accepted + found.wrong_rejected
    right = found.right_accepted + found.right_rejected
    spread = wilson(found.right_accepted + found.wrong_rejected, found.n)
    table.add_row(
        str(found.n),
        "-" if found.share is None else f"{found.share:.3f}",
        "-" if spread is None else f"{spread[0]:.3f}-{spread[1]:.3f}",
        "-" if found.kappa is None else f"{found.kappa:.3f}",
        _of(found.wrong_accepted, wrong),
        _of(found.right_rejected, right),
        str(found.unscored),
    )
    return table


def kind_table(kinds: Mapping[str, Counter[bool | None]]) -> Table:
    """A line a kind of wrong answer: how many were accepted.

    Args:
        kinds: Verdicts of rows that are labelled wrong, by kind.
    """
    from rich.table import Table

    table = Table(title="wrong answers accepted, by kind")
    table.add_column("kind")
    for header in ("n", "accepted", "unscored"):
        table.add_column(header, justify="right")
    worst = sorted(kinds.items(), key=lambda item: (-item[1][True] / item[1].total(), item[0]))
    for kind, verdicts in worst:
        scored = verdicts[True] + verdicts[False]
        table.add_row(kind, str(verdicts.total()), _of(verdicts[True], scored), str(verdicts[None]))
    return table


def _of(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "-"


@dataclass(frozen=True, slots=True)
class Stratum:
    """Rows of one verdict, and those of them that a person looked at.

    Attributes:
        size: Rows there are.
        n: Rows with a label.
        agreed: Those whose label is the verdict.
    """

    size: int
    n: int
    agreed: int


def stratified(strata: Sequence[Stratum]) -> tuple[float, float, float] | None:
    """Agreement over all rows from a sample of each stratum, with a 95 % interval.

    The strata's Wilson intervals are combined by recovering their variances (Zou and Donner 2008,
    Statistics in Medicine 27): each bound is as far from the estimate as the root of the sum of
    the squared weighted distances.

    Returns:
        Estimate, lower and upper bound; ``None`` where a stratum that has rows has no label.
    """
    total = sum(stratum.size for stratum in strata)
    if not total or any(stratum.size and not stratum.n for stratum in strata):
        return None
    centre = below = above = 0.0
    for stratum in strata:
        bounds = wilson(stratum.agreed, stratum.n)
        if bounds is None:
            continue
        weight, share = stratum.size / total, stratum.agreed / stratum.n
        centre += weight * share
        below += (weight * (share - bounds[0])) ** 2
        above += (weight * (bounds[1] - share)) ** 2
    return centre, max(0.0, centre - math.sqrt(below)), min(1.0, centre + math.sqrt(above))
