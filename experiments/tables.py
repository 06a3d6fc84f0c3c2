"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_HEADERS = ("n", "accuracy", "95 %", "asks", "tokens", "share", "format")


def result_table(first: str, title: str, lines: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line a result: ``n``, accuracy with its interval, what it asks and what it costs.

    Args:
        first: Heading of the first column.
        title: Above the table.
        lines: Results as in ``result.json``, by the name of their line.
    """
    from rich.table import Table

    table = Table(title=title)
    table.add_column(first, no_wrap=True)
    for header in (*_HEADERS, "unscored", "refused"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, result in lines.items():
        table.add_row(name, *_cells(result))
    return table


def source_table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Accuracy and request rate of each agent by source: where asking pays."""
    from rich.table import Table

    table = Table(title="where asking pays: accuracy (request rate) by source")
    table.add_column("source", no_wrap=True)
    table.add_column("n", justify="right")
    for spec in results:
        table.add_column(spec, justify="right")
    parts = [result["by_source"] for result in results.values()]
    for source in parts[0]:
        cells = [
            "-" if p[source]["accuracy"] is None
            else f"{p[source]['accuracy']:.2f} ({p[source]['request_rate']:.0%})"
            for p in parts
        ]  # fmt: skip
        table.add_row(source or "(none)", str(parts[0][source]["n"]), *cells)
    return table


def _cells(result: Mapping[str, Any]) -> list[str]:
    def number(key: str, form: str) -> str:
        return "-" if result[key] is None else format(result[key], form)

    spread = result["interval_95"]["accuracy"]
    return [
        str(result["n"]),
        number("accuracy", ".3f"),
        f"{spread[0]:.2f}-{spread[1]:.2f}" if spread else "-",
        number("request_rate", ".0%"),
        number("visual_tokens", ".1f"),
        number("token_ratio", ".2f"),
        number("format_rate", ".0%"),
        str(result["unscored"]),
        str(result["refused"]),
    ]
