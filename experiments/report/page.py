"""The page: one HTML file that needs no other file and no network.

Its content security policy allows the page's own style and script by their hashes, pictures as data
URIs, and nothing else; and its script cannot turn text into markup (trusted types).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from experiments.files import whole_file
from experiments.report.figures import Figure
from experiments.report.gallery import MARKS, Shown, counts
from experiments.report.records import Policy, Suite
from experiments.report.text import html, island

_COLUMNS = ("n", "accuracy", "95 %", "asks", "visual tokens", "of full", "format", "unscored")
_ORIGIN = 20_000


@dataclass(frozen=True, slots=True)
class Content:
    """What a page shows.

    Attributes:
        title: Its heading.
        lead: A sentence or two under it.
        policies: In the order of tables, the first one as the headline.
        notes: What was left out or could not be read.
        suites: Tables of benchmarks.
        figures: Plots.
        shown: Policies of the gallery.
        samples: See :func:`experiments.report.gallery.gallery`.
        episodes: The same.
        pictures: Data URIs.
        origin: Where the results come from.
    """

    title: str
    lead: str
    policies: Sequence[Policy]
    notes: Sequence[str]
    suites: Sequence[Suite]
    figures: Sequence[Figure]
    shown: Sequence[Shown]
    samples: Sequence[Any]
    episodes: Sequence[Sequence[Any]]
    pictures: list[str]
    origin: Mapping[str, Any]


def write_page(out: Path, content: Content) -> None:
    """Write the page; it is there whole or not at all."""
    style, script = _file("page.css"), _file("page.js")
    told = [p for p in content.policies if p.numbers is not None]
    page = Template(_file("page.html")).substitute(
        title=html(content.title),
        lead=html(content.lead),
        policy=html(_security(style, script)),
        style=style,
        script=script,
        facts=_facts(told[0]) if told else "",
        table=_table("policy", {p.name: p.numbers or {} for p in told}) if told else "",
        notes=_notes(content.notes),
        suites=_suites(content.suites),
        plots="".join(_plot(figure) for figure in content.figures),
        groups=_groups(told),
        gallery=_gallery(content.shown),
        origin=html(json.dumps(content.origin, indent=2, ensure_ascii=False), _ORIGIN),
        islands="".join(_islands(content)),
    )
    with whole_file(out) as stream:
        stream.write(page)


def _file(name: str) -> str:
    return resources.files(__name__.rpartition(".")[0]).joinpath(name).read_text("utf-8")


def _security(style: str, script: str) -> str:
    def allowed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {allowed(style)}; "
        f"script-src {allowed(script)}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


_PAGER = (
    "<nav class=pager id={0} aria-label='pages of episodes'><button class=before>← before</button>"
    "<span></span><button class=next>next →</button></nav>"
)
_GALLERY = (
    "<div class=filters role=group aria-label=filters>"
    "<label>policy <select id=policy>{policies}</select></label>"
    + "".join(f"<button data-mark={mark} aria-pressed=false></button>" for mark in MARKS)
    + "<label>kind <select id=kind></select></label><label>source <select id=source></select>"
    "</label><input type=search id=search placeholder='search texts' aria-label='search texts'>"
    "<span id=count class=quiet role=status>reading episodes …</span></div>"
    "<p id=arms class=arms></p>"
    + _PAGER.format("above")
    + "<div id=cards></div>"
    + _PAGER.format("below")
    + "<noscript><p class=empty>Episodes are drawn by the page's script, which is switched off."
    "</p></noscript>"
)


def _gallery(shown: Sequence[Shown]) -> str:
    if not shown:
        return "<p class=quiet>There are no episodes here.</p>"
    names = [
        f"<option value={place}>{html(one.policy.name)} ({len(one.rows):,})</option>"
        for place, one in enumerate(shown)
    ]
    return _GALLERY.replace("{policies}", "".join(names))


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _spread(numbers: Mapping[str, Any], key: str) -> str:
    spread = numbers["interval_95"][key]
    return f"{spread[0]:.3f}–{spread[1]:.3f}" if spread else "–"


def _facts(policy: Policy) -> str:
    """The headline: the first policy in four numbers."""
    numbers = policy.numbers or {}
    facts = {
        f"accuracy of {policy.name}": (
            _cell(numbers["accuracy"], ".3f"), f"95 %: {_spread(numbers, 'accuracy')}"
        ),
        "asks for the original": (
            _cell(numbers["request_rate"], ".1%"), f"95 %: {_spread(numbers, 'request_rate')}"
        ),
        "visual tokens, of full": (
            _cell(numbers["token_ratio"], ".3f"), f"{_cell(numbers['visual_tokens'], ',.1f')} each"
        ),
        "episodes": (
            f"{numbers['n']:,}",
            f"{numbers['unscored']:,} unscored, {numbers['refused']:,} refused",
        ),
    }  # fmt: skip
    return "".join(
        f"<div><dt>{html(name)}</dt><dd>{value}<small>{more}</small></dd></div>"
        for name, (value, more) in facts.items()
    )


def _table(first: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """A line a result."""
    head = "".join(f"<th scope=col>{name}</th>" for name in (first, *_COLUMNS))
    rows: list[str] = []
    for name, result in results.items():
        cells = (
            f"{result['n']:,}",
            _cell(result["accuracy"], ".3f"),
            _spread(result, "accuracy"),
            _cell(result["request_rate"], ".1%"),
            _cell(result["visual_tokens"], ",.1f"),
            _cell(result["token_ratio"], ".3f"),
            _cell(result["format_rate"], ".1%"),
            f"{result['unscored']:,}",
        )
        rows.append(_row(name, cells))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, cells: Sequence[str]) -> str:
    head = f"<th scope=row dir=auto title='{html(name)}'>{html(name) or '(none)'}</th>"
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _suites(suites: Sequence[Suite]) -> str:
    """The paper's Table 2 (arXiv 2507.13348) of each agent: a line a benchmark, a column a mode."""
    if not suites:
        return ""
    made = ["<section id=benchmarks><h2>Benchmarks</h2>"]
    for suite in suites:
        modes = list(dict.fromkeys(line["mode"] for line in suite.lines))
        by: dict[str, dict[str, Mapping[str, Any]]] = {}
        for line in suite.lines:
            by.setdefault(line["benchmark"], {})[line["mode"]] = line
        rows = [
            _row(name, [f"{max(one['n'] for one in lines.values()):,}"]
                 + [_score(lines.get(mode)) for mode in modes])
            for name, lines in by.items()
        ]  # fmt: skip
        heads = ("benchmark", "n", *(mode or "score" for mode in modes))
        made.append(f"<h3 dir=auto>{html(suite.name)}</h3>{_tabular(heads, rows)}")
    made.append(
        "<p class=quiet>The benchmark's own score (in % of that of full); below it visual tokens "
        "over those of the originals, and how often it asked. n: questions, the most that a mode "
        "played. In the average every benchmark counts once.</p></section>"
    )
    return "".join(made)


def _score(line: Mapping[str, Any] | None) -> str:
    if line is None:
        return "–"
    parts = [
        format(scale * value, form) + unit
        for key, scale, form, unit in (("score", 1, ",.1f", ""), ("relative", 100, ".1f", " %"))
        if (value := line[key]) is not None
    ]
    told = f"{parts[0]} ({parts[1]})" if len(parts) > 1 else "".join(parts) or "–"
    ratio, rate = _cell(line["token_ratio"], ".2f"), _cell(line["request_rate"], ".0%")
    return f"{told}<small>{ratio}, {rate}</small>"


def _tabular(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th scope=col dir=auto>{html(name, 80)}</th>" for name in heads)
    body = "".join(rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f"<div class=scroll>{table}</div>"


def _groups(policies: Sequence[Policy]) -> str:
    """Accuracy and request rate of each policy, by source and by kind of question."""
    made: list[str] = []
    for label, key in (("source", "by_source"), ("kind", "by_kind")):
        parts = {p.name: (p.numbers or {})[key] for p in policies}
        names = sorted({name for groups in parts.values() for name in groups})
        if not names:
            continue
        rows = [_row(name, [_pair(g.get(name)) for g in parts.values()]) for name in names]
        made.append(_tabular((label, *parts), rows))
    return "".join(made) or "<p class=quiet>There are no results to group.</p>"


def _pair(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "–"
    rate = _cell(part["request_rate"], ".0%")
    return f"{_cell(part['accuracy'], '.2f')} <small>({rate})</small>"


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    lines = "".join(f"<li dir=auto>{html(note)}</li>" for note in notes)
    return f"<ul class=notes aria-label='what was left out'>{lines}</ul>"


def _plot(figure: Figure) -> str:
    caption = html(figure.caption)
    return (
        f"<figure class=plot><div><img alt='{caption}' src='{figure.data_uri}'></div>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _islands(content: Content) -> list[str]:
    """The data, which the script parses when it is needed; pictures last."""
    meta = {"policies": [_meta(shown) for shown in content.shown]}
    made = {"meta": meta, "samples": content.samples}
    made |= {f"episodes-{i}": episodes for i, episodes in enumerate(content.episodes)}
    made["pictures"] = content.pictures
    return [
        f'<script type="application/json" id="{name}">{island(value)}</script>\n'
        for name, value in made.items()
    ]


def _meta(shown: Shown) -> dict[str, Any]:
    """What the filters say of a policy."""
    rows = [row for row, _ in shown.kept]
    found = counts(marks for _, marks in shown.kept)
    return {
        "name": shown.policy.name,
        "counts": found,
        "why": {name: True for name in ("needless", "missed") if found[name]["unknown"]},
        "told": _told(shown, found),
        "kinds": sorted({row.kind for row in rows}),
        "sources": sorted({row.source for row in rows}),
        "low": shown.arms.low,
        "high": shown.arms.high,
    }


def _told(shown: Shown, found: Mapping[str, Mapping[str, int]]) -> str:
    """Where the marks that need both arms come from, or why they cannot be known."""
    low, high = shown.arms.low, shown.arms.high
    parts = [
        f"Asked needlessly: it asked, and {low}, which never asks, is right."
        if low
        else "Whether it asked needlessly cannot be known: no run here plays the same questions "
        "without asking (a request that gained no tokens was needless all the same).",
        f"Should have asked: it did not, is wrong, and {high}, which always sees the original, "
        "is right."
        if high
        else "Whether it should have asked cannot be known: no run here always sees the original "
        "of the same questions.",
    ]
    for arm, name, what in ((low, "needless", "requests"), (high, "missed", "direct answers")):
        if arm and (unknown := found[name]["unknown"]):
            parts.append(f"Unknown for {unknown:,} {what}: unscored, or not played by {arm}.")
    return " ".join(parts)
