"""``vt compare``: what changed between two results."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.commands.options import console
from experiments.comparison import Recorded, compared
from experiments.files import write_json
from experiments.tables import difference_cells
from vt_env import ConfigError

DESCRIPTION = """\
Compare two results of vt eval on the same samples: what was set otherwise, by how much each number
differs (B - A, with a paired 95 % interval and McNemar's exact test), and which samples changed.
A and B are folders with an episodes.jsonl, e.g. of two modes, or such files.
"""
_CAP = 10
_CELL = 60


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="what changed between two results",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("a", type=Path, metavar="A", help="the first result")
    parser.add_argument("b", type=Path, metavar="B", help="the second")
    parser.add_argument(
        "--by-id",
        choices=("same", "intersect"),
        default="same",
        help="same: both must have the same samples (default); intersect: compare those they share",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="everything, as JSON")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read both, compare, show, write."""
    a, b = Recorded.read(arguments.a), Recorded.read(arguments.b)
    intersect = arguments.by_id == "intersect"
    found = compared(a, b, intersect=intersect, seed=arguments.seed)
    if arguments.out is not None:
        try:
            write_json(arguments.out, found)
        except OSError as error:
            raise ConfigError(f"cannot write {arguments.out}: {error.strerror}") from error
    _show(found)


def _show(found: Mapping[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    screen = console()
    screen.print(f"A: {found['a']}\nB: {found['b']}", soft_wrap=True, markup=False)
    if found["settings"]:
        table = Table(title="set otherwise")
        for header in ("", "A", "B"):
            table.add_column(header)
        for key, pair in found["settings"].items():
            table.add_row(key, *(escape(_short(value)) for value in pair))
        screen.print(table)
    left = {key: len(found[key]) for key in ("only_a", "only_b", "asked_otherwise")}
    screen.print(f"{found['n']} samples in common", *[f"{n} {k}" for k, n in left.items() if n],
                 sep=", ")  # fmt: skip
    screen.print(_metrics("all samples", found["metrics"]))
    for key in ("kind", "source"):
        if len(parts := found[f"by_{key}"]) > 1:
            screen.print(_by(key, parts))
    changed = {name: ids for name, ids in found["changes"].items() if ids}
    for name, ids in changed.items():
        more = f", … ({len(ids) - _CAP} more)" if len(ids) > _CAP else ""
        screen.print(f"{name}: {len(ids)}: {', '.join(ids[:_CAP])}{more}", soft_wrap=True,
                     markup=False)  # fmt: skip
    if not changed:
        screen.print("no sample changed")


def _metrics(title: str, metrics: Mapping[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=title)
    for header in ("", "A", "B", "n", "B - A", "95 %", "only A", "only B", "p"):
        table.add_column(header, justify="right" if table.columns else "left", no_wrap=True)
    for name, one in metrics.items():
        if one["difference"] is not None:
            means = [f"{one[side]:.3f}" for side in ("a", "b")]
            table.add_row(name, *means, *difference_cells(one))
    return table


def _by(key: str, parts: Mapping[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"by {key}")
    headers = (key, "samples", "accuracy: n", "B - A", "95 %", "only A", "only B", "p",
               "asks: B - A", "share: B - A")  # fmt: skip
    for header in headers:
        table.add_column(header, justify="right" if table.columns else "left", no_wrap=True)
    for name, part in parts.items():
        metrics = part["metrics"]
        more = [
            "-" if metrics[m]["difference"] is None else f"{metrics[m]['difference']:+.3f}"
            for m in ("request_rate", "token_ratio")
        ]
        cells = difference_cells(metrics["accuracy"])
        table.add_row(escape(name) or "(none)", str(part["n"]), *cells, *more)
    return table


def _short(value: Any) -> str:
    """One line of a setting; of versions, those that matter most are in the JSON."""
    text = "-" if value is None else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
