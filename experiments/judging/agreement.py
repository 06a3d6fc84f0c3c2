"""How far a judge's verdicts agree with labels: agreement, Cohen's kappa, what attacks achieve."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.files import json_rows, user_line
from experiments.summary import wilson
from experiments.tables import Column, Table
from trainers.files import whole_file
from vt_env import ConfigError, DataError

Pair = tuple[bool | None, bool | None]
"""A label and a verdict."""
KIND_FIELDS = ("attack", "kind", "category")
"""Fields of a row that say of which kind it is; the first that is there counts."""
_SHOWN = ("id", "question", "choices", "references", "ground_truth", "prediction")


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

    def table(self) -> Table:
        """One line: agreement with its interval, kappa, false accepts and rejects."""
        columns = [
            *(Column("n"), Column("agreement", ".3f"), Column("95 %", ".3f")),
            *(Column("kappa", ".3f"), Column("false accepts"), Column("false rejects")),
            Column("unscored"),
        ]
        row = [
            self.n,
            self.share,
            wilson(self.right_accepted + self.wrong_rejected, self.n),
            self.kappa,
            _of(self.wrong_accepted, self.wrong_accepted + self.wrong_rejected),
            _of(self.right_rejected, self.right_accepted + self.right_rejected),
            self.unscored,
        ]
        return Table("agreement with the labels", columns, [row])


def agreement(pairs: Iterable[Pair]) -> Agreement:
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


def verdict_table(counts: Counter[Pair], judge: str) -> Table:
    """A line each for what is labelled right, labelled wrong, and not labelled."""
    rows: list[list[Any]] = []
    for label, name in ((True, "labelled right"), (False, "labelled wrong"), (None, "no label")):
        cells = [counts[label, verdict] for verdict in (True, False, None)]
        if n := sum(cells):
            rows.append([name, n, *(f"{cell} ({cell / n:.1%})" for cell in cells)])
    heads = [Column(head) for head in ("n", "correct", "incorrect", "unscored")]
    return Table(f"verdicts of {judge}", [Column("rows", text=True), *heads], rows)


def kind_table(kinds: Mapping[str, Counter[bool | None]]) -> Table:
    """A line a kind of wrong answer: how many were accepted.

    Args:
        kinds: Verdicts of rows that are labelled wrong, by kind.
    """
    worst = sorted(kinds.items(), key=lambda item: (-item[1][True] / item[1].total(), item[0]))
    rows = [
        [kind, found.total(), _of(found[True], found[True] + found[False]), found[None]]
        for kind, found in worst
    ]
    columns = [Column("kind", text=True), Column("n"), Column("accepted"), Column("unscored")]
    return Table("wrong answers accepted, by kind", columns, rows)


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
        if (bounds := wilson(stratum.agreed, stratum.n)) is None:
            continue
        weight, share = stratum.size / total, stratum.agreed / stratum.n
        centre += weight * share
        below += (weight * (share - bounds[0])) ** 2
        above += (weight * (bounds[1] - share)) ** 2
    return centre, max(0.0, centre - math.sqrt(below)), min(1.0, centre + math.sqrt(above))


def judged_rows(file: Path) -> list[dict[str, Any]]:
    """The rows that ``vt judge`` wrote."""
    rows = [row for _, row in json_rows(file)]
    for number, row in enumerate(rows, 1):
        if "verdict" not in row or not isinstance(row["verdict"], bool | None):
            raise DataError(f"{file}, row {number}: there is no verdict; judge it with --out first")
    return rows


def sample(verdicts: Sequence[bool | None], n: int, seed: int) -> list[int]:
    """Places of a sample in mixed order: half judged right, half wrong, as far as there are any."""
    rng = random.Random(seed)
    right, wrong = ([i for i, v in enumerate(verdicts) if v is said] for said in (True, False))
    of_right = min(len(right), max(n // 2, n - len(wrong)))
    of_wrong = min(len(wrong), n - of_right)
    chosen = rng.sample(right, of_right) + rng.sample(wrong, of_wrong)
    rng.shuffle(chosen)
    return chosen


def write_sample(file: Path, out: Path, n: int, seed: int) -> tuple[int, int]:
    """Write rows for a person to label, without their verdicts.

    Args:
        file: What was judged.
        out: A new file: a row each, with a ``label`` that is null.
        n: How many.
        seed: Of the choice.

    Returns:
        How many were written, and of how many.
    """
    rows = judged_rows(file)
    chosen = sample([row["verdict"] for row in rows], n, seed)
    if not chosen:
        raise DataError(f"{file} has no row with a verdict of true or false")
    try:
        with whole_file(out) as stream:
            for index in chosen:
                shown = {key: rows[index][key] for key in _SHOWN if key in rows[index]}
                stream.write(user_line({"row": index + 1, **shown, "label": None}))
    except OSError as error:
        raise ConfigError(f"cannot write {out}: {error.strerror}") from error
    return len(chosen), len(rows)


def labelled(file: Path, labels: Path) -> tuple[list[Pair], list[Stratum]]:
    """Labels and verdicts of the rows of a sample, and the strata of right and wrong verdicts.

    Args:
        file: What was judged.
        labels: What :func:`write_sample` wrote of it, with labels.
    """
    rows = judged_rows(file)
    pairs: list[Pair] = []
    for number, (_, given) in enumerate(json_rows(labels), 1):
        where = f"{labels}, row {number}"
        place, label = given.get("row"), given.get("label")
        if not isinstance(label, bool | None):
            raise DataError(f"{where}: label must be true, false or null, got {label!r}")
        if not isinstance(place, int) or not 1 <= place <= len(rows):
            raise DataError(f"{where}: there is no such row in what was judged")
        if any(given.get(key) != rows[place - 1].get(key) for key in _SHOWN if key in given):
            raise DataError(f"{where}: it is not row {place} of what was judged")
        pairs.append((label, rows[place - 1]["verdict"]))
    if not any(label is not None for label, _ in pairs):
        raise DataError(f"{labels} has no labels yet: write true or false in place of null")
    strata = []
    for verdict in (True, False):
        said = [label for label, v in pairs if v is verdict and label is not None]
        size = sum(row["verdict"] is verdict for row in rows)
        strata.append(Stratum(size, len(said), sum(label is verdict for label in said)))
    return pairs, strata
