"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
            "-" if source not in p or p[source]["accuracy"] is None
            else f"{p[source]['accuracy']:.2f}{_asks(p[source]['request_rate'])}"
            for p in parts
        ]  # fmt: skip
        table.add_row(source or "(none)", str(parts[0][source]["n"]), *cells)
    return table


def _asks(rate: float | None) -> str:
    return "" if rate is None else f" ({rate:.0%})"


def mode_table(title: str, modes: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line a mode, as the paper's Table 2: accuracy, of that of ``full``, tokens, requests, cost.

    Args:
        title: Above the table.
        modes: Results of modes as in ``result.json``, by name.
    """
    from rich.table import Table

    table = Table(title=title)
    table.add_column("mode", no_wrap=True)
    for header in ("n", "accuracy", "% of full", "share", "asks", "said", "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, result in modes.items():
        said = result["generated_tokens"]
        table.add_row(
            name,
            str(result["n"]),
            _spread(result, "accuracy", 1, ".3f"),
            _spread(result, "relative_accuracy", 100, ".1f"),
            _spread(result, "token_ratio", 1, ".2f"),
            _spread(result, "request_rate", 100, ".0f"),
            "-" if said is None else f"{said:.1f}",
            f"{result['seconds']:.1f}",
        )
    return table


def suite_table(title: str, lines: Sequence[Mapping[str, Any]]) -> Table:
    """A line a benchmark and mode, as the paper's Table 2.

    Args:
        title: Above the table.
        lines: As :func:`experiments.benchmarks.suite.suite_rows` makes them.
    """
    from rich.table import Table

    table = Table(title=title)
    headers = ("benchmark", "mode", "n", "score", "% of full", "tokens", "asks", "unscored")
    for header in (*headers, "left out"):
        table.add_column(header, justify="right" if len(table.columns) > 1 else "left")
    for line in lines:
        numbers = [
            "-" if line[key] is None else format(scale * line[key], form)
            for key, scale, form in (
                ("score", 1, ".1f"),
                ("relative", 100, ".1f"),
                ("token_ratio", 1, ".2f"),
                ("request_rate", 100, ".0f"),
            )
        ]
        n = str(line["n"]) if line["coverage"] in (None, 1) else f"{line['n']} of a part"
        counts = [str(line[key]) for key in ("unscored", "refused")]
        table.add_row(line["benchmark"], line["mode"], n, *numbers, *counts)
    return table


def agreement_table(beside: Mapping[str, Mapping[str, Any]]) -> Table:
    """A line a sample log of lmms-eval: its scores, and ours beside them.

    Args:
        beside: ``lmms`` of results, see :func:`experiments.lmms.scoring.score_logs`.
    """
    from rich.table import Table

    table = Table(title="beside lmms-eval: means of scores, over what both scored")
    table.add_column("task", no_wrap=True)
    for header in ("metric", "recorded", "both", "lmms-eval", "here", "agree", "differ"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, found in beside.items():
        judged = "n" in found
        cells = [_mean(found["mean"])]
        if judged:
            cells += [
                str(found["n"]), _mean(found["theirs"]), _mean(found["ours"]),
                str(found["agree"]), str(len(found["differ"])),
            ]  # fmt: skip
        table.add_row(name, found["metric"] or "-", *cells, *["-"] * (6 - len(cells)))
    return table


def _mean(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _spread(result: Mapping[str, Any], key: str, scale: float, form: str) -> str:
    """A number with its bootstrap interval."""
    value, interval = result.get(key), result.get("bootstrap_95", {}).get(key)
    if value is None:
        return "-"
    told = format(scale * value, form)
    if interval is None:
        return told
    return f"{told} ({'–'.join(format(scale * end, form) for end in interval)})"


def test_table(tests: Sequence[Mapping[str, Any]]) -> Table:
    """Differences of accuracy between modes on the same samples.

    Those with ``visionthink``; all, where it was not played.
    """
    from rich.table import Table

    ours = [test for test in tests if "visionthink" in (test["a"], test["b"])]
    table = Table(title="accuracy on the same samples: paired differences, McNemar's exact test")
    for header in ("second - first", "n", "difference", "95 %", "only first", "only second", "p"):
        table.add_column(header, justify="right" if table.columns else "left", no_wrap=True)
    for test in ours or tests:
        table.add_row(f"{test['b']} - {test['a']}", *difference_cells(test["accuracy"]))
    return table


def difference_cells(found: Mapping[str, Any]) -> list[str]:
    """``n``, difference, interval, and where there is a test its counts and p."""
    if not found["n"] or found["difference"] is None:
        return [str(found["n"]), *["-"] * 5]
    low, high = found["interval_95"] or (float("nan"), float("nan"))
    cells = [str(found["n"]), f"{found['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}"]
    if "p" not in found:
        return [*cells, "", "", ""]
    return [*cells, str(found["only_a"]), str(found["only_b"]), f"{found['p']:.2g}"]


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
