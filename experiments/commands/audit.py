"""``vt audit``: a person checks a sample of verdicts."""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from experiments.agreement import Stratum, agreement, agreement_table, stratified
from experiments.commands.options import console, positive
from experiments.files import json_line, json_rows, whole_file
from vt_env import ConfigError, DataError

DESCRIPTION = """\
First draw a sample of what vt judge wrote:
  vt audit JUDGED.jsonl --out SAMPLE.jsonl
Half of it was judged right, half wrong, in an order that tells nothing, and without the verdicts.
Write true or false into each row's label, or leave null what cannot be told. Then:
  vt audit JUDGED.jsonl --labels SAMPLE.jsonl
shows how far the verdicts agree with yours.
"""
_SHOWN = ("id", "question", "choices", "references", "ground_truth", "prediction")


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "audit",
        help="a sample of verdicts for a person to check",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="JUDGED", help="what vt judge wrote")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--out", type=Path, metavar="SAMPLE", help="where a sample goes")
    way.add_argument("--labels", type=Path, metavar="SAMPLE", help="the sample with labels")
    parser.add_argument("--n", type=positive, default=100, help="rows of a sample (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw a sample, or compare with its labels."""
    rows = [row for _, row in json_rows(arguments.file)]
    for number, row in enumerate(rows, 1):
        if "verdict" not in row or not isinstance(row["verdict"], bool | None):
            raise DataError(f"{arguments.file}, row {number}: there is no verdict; use vt judge")
    if arguments.labels is not None:
        _compare(rows, arguments.labels)
    else:
        _draw(rows, arguments)


def _draw(rows: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    chosen = sample([row["verdict"] for row in rows], arguments.n, arguments.seed)
    if not chosen:
        raise DataError(f"{arguments.file} has no row with a verdict of true or false")
    if arguments.out.exists():
        raise ConfigError(f"{arguments.out} is there already, perhaps with labels; choose another")
    try:
        with whole_file(arguments.out) as out:
            for index in chosen:
                shown = {key: rows[index][key] for key in _SHOWN if key in rows[index]}
                out.write(json_line({"row": index + 1, **shown, "label": None}))
    except OSError as error:
        raise ConfigError(f"cannot write {arguments.out}: {error.strerror}") from error
    console().print(f"{len(chosen)} of {len(rows)} rows to label: {arguments.out}")


def sample(verdicts: list[bool | None], n: int, seed: int) -> list[int]:
    """Places of a sample in mixed order: half judged right, half wrong, as far as there are any."""
    rng = random.Random(seed)
    right, wrong = ([i for i, v in enumerate(verdicts) if v is said] for said in (True, False))
    of_right = min(len(right), max(n // 2, n - len(wrong)))
    of_wrong = min(len(wrong), n - of_right)
    chosen = rng.sample(right, of_right) + rng.sample(wrong, of_wrong)
    rng.shuffle(chosen)
    return chosen


def _compare(rows: list[dict[str, Any]], file: Path) -> None:
    pairs: list[tuple[bool | None, bool | None]] = []
    for number, (_, labelled) in enumerate(json_rows(file), 1):
        where = f"{file}, row {number}"
        place, label = labelled.get("row"), labelled.get("label")
        if not isinstance(label, bool | None):
            raise DataError(f"{where}: label must be true, false or null, got {label!r}")
        if not isinstance(place, int) or not 1 <= place <= len(rows):
            raise DataError(f"{where}: there is no such row in what was judged")
        if any(labelled.get(key) != rows[place - 1].get(key) for key in _SHOWN if key in labelled):
            raise DataError(f"{where}: it is not row {place} of what was judged")
        pairs.append((label, rows[place - 1]["verdict"]))
    if not any(label is not None for label, _ in pairs):
        raise DataError(f"{file} has no labels yet: write true or false in place of null")
    screen = console()
    screen.print(agreement_table(agreement(pairs)))
    strata = [_stratum(rows, pairs, verdict) for verdict in (True, False)]
    for name, stratum in zip(("right", "wrong"), strata, strict=True):
        screen.print(f"judged {name}: {stratum.agreed} of {stratum.n} labels agree")
    if (found := stratified(strata)) is not None:
        screen.print(
            f"over all {sum(s.size for s in strata)} rows: agreement {found[0]:.3f}, "
            f"95 % interval {found[1]:.3f} to {found[2]:.3f}"
        )


def _stratum(
    rows: list[dict[str, Any]], pairs: list[tuple[bool | None, bool | None]], verdict: bool
) -> Stratum:
    labels = [label for label, said in pairs if said is verdict and label is not None]
    size = sum(row["verdict"] is verdict for row in rows)
    return Stratum(size, len(labels), sum(label is verdict for label in labels))
