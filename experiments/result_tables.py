"""The tables of results: what the terminal, the report and W&B show of ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.tables import Column, Table

Result = Mapping[str, Any]
RATES = (
    Column("n"),
    Column("accuracy", ".3f"),
    Column("95 %", ".2f"),
    Column("asks", ".0%"),
    Column("calls", ".2f"),
    Column("views", ".2f"),
    Column("tokens", ".1f"),
    Column("share", ".2f"),
    Column("generated", ".1f"),
    Column("text", ".1f"),
    Column("seconds", ".2f"),
    Column("format", ".0%"),
    Column("unscored"),
    Column("refused"),
)
_TERMS = {
    "% of full": "of the mode that sees the original at once",
    "tokens": "visual tokens an episode",
    "share": "of showing every original once",
    "asks": "episodes that got a second view, of 100",
    "calls": "an episode",
    "views": "an episode",
    "generated": "tokens that the agent wrote, an episode",
    "text": "tokens of text that it read and wrote, an episode",
    "seconds": "of the agent, an episode",
    "format": "episodes in which every turn kept it",
    "option seed": "drew the order of the options; none: they are shown in their own",
    "letter bias": "0 where letters are chosen as often as they are right",
    "by chance": "the mean of that bias if as many were right and the wrong answers any other "
    "letter alike",
}
"""What headings mean."""


def legend(*shown: Table) -> str:
    """What the headings of tables mean."""
    names = {name for table in shown for name in table.names}
    return "; ".join(f"{name}: {told}" for name, told in _TERMS.items() if name in names)


def results(first: str, title: str, lines: Mapping[str, Result]) -> Table:
    """A line a result: accuracy with its interval, what it asks and what it costs.

    Args:
        first: Heading of the first column.
        title: Above the table.
        lines: Results as in ``result.json``, by the name of their line.
    """
    rows = [
        [
            name,
            one["n"],
            one["accuracy"],
            one["interval_95"]["accuracy"],
            one["request_rate"],
            one.get("calls"),
            one.get("views"),
            one["visual_tokens"],
            one["token_ratio"],
            one.get("generated_tokens"),
            one.get("text_tokens"),
            _seconds(one),
            one["format_rate"],
            one["unscored"],
            one["refused"],
        ]
        for name, one in lines.items()
    ]
    return Table(title, [Column(first, text=True), *RATES], rows)


def _seconds(one: Result) -> float | None:
    """Seconds of the agent, an episode; not known of parts of a result."""
    return one["agent_seconds"] / one["n"] if one.get("agent_seconds") and one["n"] else None


def repeats(title: str, lines: Mapping[str, Result]) -> Table | None:
    """Avg@k and pass@k of the results whose questions were played several times, if any was.

    Args:
        title: Above the table.
        lines: Results as in ``result.json``, or lines of a suite, by name.
    """
    found = {name: one["repeats"] for name, one in lines.items() if one.get("repeats")}
    if not found:
        return None
    sizes = sorted({int(k) for one in found.values() for k in one["pass_at_k"]})
    rows = [
        [
            name,
            one["questions"],
            one["k"],
            *(
                _ends(part)
                for part in (one["avg_at_k"], *(one["pass_at_k"].get(str(k)) for k in sizes))
            ),
        ]
        for name, one in found.items()
    ]
    columns = [Column("", text=True), Column("questions"), Column("k"), Column("Avg@k")]
    return Table(title, [*columns, *(Column(f"pass@{k}") for k in sizes)], rows)


def _ends(found: Result | None) -> str | None:
    """A number with its interval."""
    if found is None or found["value"] is None:
        return None
    low, high = found["interval_95"]
    return f"{found['value']:.3f} ({low:.3f}–{high:.3f})"


def by_group(key: str, lines: Mapping[str, Result]) -> Table:
    """Accuracy and request rate of each result, by source or kind of question: where asking pays.

    Args:
        key: ``source`` or ``kind``.
        lines: Results by name.
    """
    parts = [one[f"by_{key}"] for one in lines.values()]
    groups = sorted({group for part in parts for group in part})
    rows = [
        [
            group or "(none)",
            max(part[group]["n"] for part in parts if group in part),
            *(_pair(part.get(group)) for part in parts),
        ]
        for group in groups
    ]
    columns = [Column(key, text=True), Column("n"), *map(Column, lines)]
    return Table(f"where asking pays: accuracy (request rate) by {key}", columns, rows)


def _pair(one: Result | None) -> str | None:
    if one is None or one["accuracy"] is None:
        return None
    rate = one["request_rate"]
    return f"{one['accuracy']:.2f}" + ("" if rate is None else f" ({rate:.0%})")


def modes(title: str, found: Mapping[str, Result]) -> Table:
    """A line a mode, as the paper's Table 2: accuracy, of that of ``full``, tokens, requests, cost.

    Args:
        title: Above the table.
        found: Results of modes as in ``result.json``, by name.
    """
    texts = ("n", "accuracy", "% of full", "share", "asks")
    columns = [*map(Column, texts), Column("generated", ".1f"), Column("seconds", ".2f")]
    rows = [
        [
            name,
            one["n"],
            _spread(one, "accuracy", 1, ".3f"),
            _spread(one, "relative_accuracy", 100, ".1f"),
            _spread(one, "token_ratio", 1, ".2f"),
            _spread(one, "request_rate", 100, ".0f"),
            one["generated_tokens"],
            _seconds(one),
        ]
        for name, one in found.items()
    ]
    return Table(title, [Column("mode", text=True), *columns], rows)


def _spread(one: Result, key: str, scale: float, form: str) -> str | None:
    """A number with its bootstrap interval."""
    value, interval = one.get(key), one.get("bootstrap_95", {}).get(key)
    if value is None:
        return None
    ends = "" if interval is None else "–".join(format(scale * end, form) for end in interval)
    return format(scale * value, form) + (f" ({ends})" if ends else "")


DIFFERENCE = (
    Column("n"),
    Column("difference", "+.3f"),
    Column("95 %", "+.3f"),
    Column("only first"),
    Column("only second"),
    Column("p", ".2g"),
)


def difference(found: Result) -> list[Any]:
    """The cells of :data:`DIFFERENCE`."""
    if not found["n"] or found["difference"] is None:
        return [found["n"], *[None] * 5]
    return [
        *(found[key] for key in ("n", "difference", "interval_95")),
        *(found.get(key) for key in ("only_a", "only_b", "p")),
    ]


def tests(found: Sequence[Result]) -> Table:
    """Differences of accuracy between modes on the same samples.

    Those with ``visionthink``; all, where it was not played.
    """
    ours = [test for test in found if "visionthink" in (test["a"], test["b"])]
    rows = [[f"{t['b']} - {t['a']}", *difference(t["accuracy"])] for t in ours or found]
    return Table(
        "accuracy on the same samples: paired differences, McNemar's exact test",
        [Column("second - first", text=True), *DIFFERENCE],
        rows,
    )


SUITE = ("score", "relative", "token_ratio", "request_rate")


def suite(title: str, lines: Sequence[Result]) -> Table:
    """A line a benchmark and mode, as the paper's Table 2.

    Args:
        title: Above the table.
        lines: As :func:`experiments.benchmarks.suite.suite_rows` makes them.
    """
    rows = [
        [
            line["benchmark"],
            line["mode"],
            line["n"] if line["coverage"] in (None, 1) else f"{line['n']} of a part",
            line["score"],
            line["relative"] and 100 * line["relative"],
            line["token_ratio"],
            line["request_rate"],
            line["calls"],
            line["views"],
            line["visual_tokens"],
            line["agent_seconds"],
            line["unscored"],
            line["refused"],
        ]
        for line in lines
    ]
    columns = [
        *(Column("benchmark", text=True), Column("mode", text=True), Column("n")),
        *(Column("score", ".1f"), Column("% of full", ".1f"), Column("share", ".2f")),
        *(Column("asks", ".0%"), Column("calls", ".2f"), Column("views", ".2f")),
        *(Column("tokens", ".0f"), Column("seconds", ".2f")),
        *(Column("unscored"), Column("left out")),
    ]
    return Table(title, columns, rows)


def letters(title: str, lines: Sequence[Result]) -> Table | None:
    """Which options of benchmarks are chosen and which are right; ``None`` where none has any.

    Args:
        title: Above the table.
        lines: As of :func:`suite`.
    """
    rows = [
        [
            line["benchmark"],
            line["mode"],
            told["option_seed"],
            told["letter_bias"],
            told.get("interval_95"),
            told.get("chance"),
            told["none"],
            *(
                ", ".join(f"{letter} {share:.0%}" for letter, share in sorted(told[kind].items()))
                for kind in ("chosen", "right")
            ),
        ]
        for line in lines
        if (told := line.get("letters"))
    ]
    columns = [
        *(Column("benchmark", text=True), Column("mode", text=True), Column("option seed", ".0f")),
        *(Column("letter bias", ".2f"), Column("95 %", ".2f"), Column("by chance", ".2f")),
        Column("no letter", ".0%"),
        *(Column("chosen", text=True), Column("right", text=True)),
    ]
    return Table(title, columns, rows) if rows else None


def beside_lmms(found: Mapping[str, Result]) -> Table:
    """A line a sample log of lmms-eval: its scores, and ours beside them.

    Args:
        found: ``lmms`` of results, see :func:`experiments.lmms.scoring.score_logs`.
    """
    rows = [
        [
            name,
            one["metric"],
            one["mean"],
            *(one.get(key) for key in ("n", "theirs", "ours", "agree")),
            len(one["differ"]) if "differ" in one else None,
        ]
        for name, one in found.items()
    ]
    columns = [
        *(Column("task", text=True), Column("metric"), Column("recorded", ".3f"), Column("both")),
        *(Column("lmms-eval", ".3f"), Column("here", ".3f"), Column("agree"), Column("differ")),
    ]
    return Table("beside lmms-eval: means of scores, over what both scored", columns, rows)
