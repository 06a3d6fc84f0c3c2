"""The page around the cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from experiments.files import whole_file
from experiments.report.cards import Card, safe

FILTERS = {
    "wrong": "wrong",
    "needless": "asked needlessly",
    "missed": "should have asked",
    "unscored": "unscored",
}
_COLUMNS = ("n", "accuracy", "95 %", "asks", "visual tokens", "share of originals", "format")


def write_report(
    out: Path,
    *,
    title: str,
    lead: str,
    policies: Mapping[str, Mapping[str, Any]],
    plots: Mapping[str, Path],
    cards: Sequence[Card],
    provenance: Mapping[str, Any],
) -> None:
    """Write the page; it needs no other file and no network.

    Args:
        out: The HTML file.
        title: Its heading.
        lead: A sentence or two under it.
        policies: Results as in ``result.json`` by name, in the order of the table.
        plots: SVG files by caption.
        cards: Episodes to look at.
        provenance: Shown at the end as JSON.
    """
    template = Template(
        resources.files(__name__.rpartition(".")[0]).joinpath("page.html").read_text()
    )
    figures = [
        f"<figure class=plot>{_svg(path)}<figcaption>{safe(caption)}</figcaption></figure>"
        for caption, path in plots.items()
    ]
    page = template.substitute(
        title=safe(title),
        lead=safe(lead),
        summary=_summary(policies),
        kinds=_kinds(policies),
        plots="".join(figures),
        filters=_filters(cards),
        cards="".join(card.html for card in cards),
        provenance=escape(json.dumps(dict(provenance), indent=2)),
    )
    with whole_file(out) as stream:
        stream.write(page)


def _svg(path: Path) -> str:
    """The drawing without its XML header, so that it can stand inside HTML."""
    text = path.read_text("utf-8")
    return text[text.index("<svg") :]


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _summary(policies: Mapping[str, Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("policy", *_COLUMNS))
    rows: list[str] = []
    for name, result in policies.items():
        spread = result["interval_95"]["accuracy"]
        cells = (
            str(result["n"]),
            _cell(result["accuracy"], ".3f"),
            f"{spread[0]:.3f}–{spread[1]:.3f}" if spread else "–",
            _cell(result["request_rate"], ".0%"),
            _cell(result["visual_tokens"], ".1f"),
            _cell(result["token_ratio"], ".3f"),
            _cell(result["format_rate"], ".0%"),
        )
        rows.append(f"<tr><th>{safe(name)}</th>{''.join(f'<td>{c}</td>' for c in cells)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _kinds(policies: Mapping[str, Mapping[str, Any]]) -> str:
    """Accuracy and request rate of each policy by kind of question."""
    kinds = sorted({kind for result in policies.values() for kind in result["by_kind"]})
    head = "".join(f"<th>{safe(kind)}</th>" for kind in ("policy", *kinds))
    rows: list[str] = []
    for name, result in policies.items():
        cells = [result["by_kind"].get(kind) for kind in kinds]
        shown = "".join(
            "<td>–</td>"
            if c is None
            else f"<td>{_cell(c['accuracy'], '.2f')} <small>({_cell(c['request_rate'], '.0%')})"
            "</small></td>"
            for c in cells
        )
        rows.append(f"<tr><th>{safe(name)}</th>{shown}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _filters(cards: Sequence[Card]) -> str:
    counts = {flag: sum(flag in card.flags for card in cards) for flag in FILTERS}
    buttons = [
        f"<button data-flag='{flag}' aria-pressed=false>{FILTERS[flag]} ({count})</button>"
        for flag, count in counts.items()
    ]
    kinds = sorted({card.kind for card in cards})
    options = "".join(f"<option>{safe(kind)}</option>" for kind in kinds)
    return (
        f"{''.join(buttons)}<label>kind <select id=kind><option value=''>all</option>{options}"
        "</select></label><span id=count></span>"
    )
