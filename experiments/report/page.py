"""From folders of results to the page and its plots.

The page is one HTML file that needs no other file and no network. Its content security policy
allows the page's own style and script by their hashes, pictures as data URIs, and nothing else; and
its script cannot turn text into markup (trusted types). The template escapes by itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.evaluation.modes import MODES
from experiments.report import figures
from experiments.report.figures import Figure
from experiments.report.gallery import MARKS, PAIRED, Gallery, Shown, choose
from experiments.report.pictures import Pictures
from experiments.report.reading import Policy, Results, read_results
from experiments.report.text import all_shown, island, shown
from experiments.result_tables import by_group, legend, letters, results, suite
from experiments.tables import Table
from trainers.files import whole_file
from vt_env import ConfigError, MissingExtra, Source

PICTURES = 600
EPISODES = 2_000
_ORIGIN = 20_000
_PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """What a report holds.

    Attributes:
        title: Its heading; by default the folders' names.
        lead: What stands under it.
        data: The data that has the pictures, or its spec, in place of what the results name.
        pictures: Originals that are embedded, at most.
        episodes: Episodes in the gallery, at most.
        tables: Further tables, which come first.
        beside: Whether the second policy's episodes stand beside the first one's from the start.
    """

    title: str = ""
    lead: str = ""
    data: str | Source | None = None
    pictures: int = PICTURES
    episodes: int = EPISODES
    tables: Sequence[Table] = ()
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was made.

    Attributes:
        page: The HTML file.
        figures: The plots, those beside it last.
        results: What was read.
        title: The page's heading.
        lead: A sentence or two under it.
        notes: What was left out or could not be read.
        shown: Policies of the gallery.
        samples: See :class:`experiments.report.gallery.Gallery`.
        episodes: The same.
        pictures: Data URIs.
        config: What it holds.
    """

    page: Path
    figures: Sequence[Figure]
    results: Results
    title: str
    lead: str
    notes: Sequence[str]
    shown: Sequence[Shown]
    samples: Sequence[Any]
    episodes: Sequence[Sequence[Any]]
    pictures: list[str]
    config: ReportConfig = field(default_factory=ReportConfig)


def make_report(
    folders: Sequence[Path] | Results,
    out: Path,
    config: ReportConfig | None = None,
    drawn_before: Sequence[Figure] = (),
) -> Report:
    """Read results, draw, and write the page and, beside it, the plots.

    Args:
        folders: What ``vt eval``, ``vt train`` or ``vt demo`` wrote, or results that are read.
        out: The page; plots are named after it.
        config: What it holds; see its defaults.
        drawn_before: Plots that come first.

    Raises:
        ConfigError: If a folder holds nothing to show, or ``out`` is a folder.
        MissingExtra: If matplotlib is not installed.
        OSError: If a file cannot be written. The page is there whole or not at all.
    """
    config = config or ReportConfig()
    if out.is_dir():
        raise ConfigError(f"--out must be a file, as in report.html, but {out} is a folder")
    found = folders if isinstance(folders, Results) else read_results(folders)
    names = [] if isinstance(folders, Results) else [f.resolve().name for f in folders]
    out.parent.mkdir(parents=True, exist_ok=True)
    pictures = Pictures(config.pictures, found.notes, config.data)
    kept = choose([p for p in found.policies if p.rows], config.episodes, found.notes)
    shown_ = Gallery(kept)
    samples, episodes = shown_.all(shown_.draw(pictures, shown_.by_rank(pictures.most)))
    if pictures.skipped:
        found.notes.add(
            f"{config.pictures:,} pictures are embedded, those of notable episodes first; "
            f"{pictures.skipped:,} samples are shown by size alone. More with --pictures N"
        )
    if pictures.uncut:
        found.notes.add(
            f"{config.pictures:,} parts that were looked at are embedded; {pictures.uncut:,} are "
            "shown by size alone"
        )
    with TemporaryDirectory() as folder:
        drawn = figures.draw(found, Path(folder, "report"))
        report = Report(
            out,
            [*drawn_before, *drawn],
            found,
            config.title or ", ".join(names),
            config.lead or lead_of(found),
            found.notes.lines(),
            kept,
            samples,
            episodes,
            pictures.embedded,
            config,
        )
        page = render(report)
        with whole_file(out) as stream:  # first: by it the plots are known as ours
            stream.write(page)
        beside = [figure.copied(out.with_name(out.stem)) for figure in drawn]
    return replace(report, figures=[*drawn_before, *beside])


def files_of(out: Path) -> list[Path]:
    """The files that a report may consist of: the page, and its plots."""
    plots = [f"{out.stem}-{name}{end}" for name in figures.NAMES for end in figures.SUFFIXES]
    return [out, *(out.with_name(name) for name in plots)]


def is_page(path: Path) -> bool:
    """Whether a file looks like a page that :func:`make_report` wrote."""
    with path.open("rb") as stream:
        return b'<meta name="generator" content="visionthink-gym">' in stream.read(4096)


def lead_of(found: Results) -> str:
    """What the report is about, in a sentence."""
    data = sorted({p.data for p in found.policies if p.data and p.numbers is not None})
    parts = [f"Played on {', '.join(data)}."] if data else []
    if found.runs:
        steps, runs = sum(len(run.metrics) for run in found.runs), len(found.runs)
        parts.append(f"{runs} training run{'s' * (runs > 1)}, {steps:,} steps.")
    return " ".join(parts)


def _origins(policies: Sequence[Policy]) -> dict[str, Any]:
    """Where results come from; what several have in common is there once."""
    made: dict[str, tuple[list[str], Any]] = {}
    for policy in policies:
        if policy.origin:
            told = {k: v for k, v in policy.origin.items() if k != "finished"}
            key = json.dumps(told, sort_keys=True, default=str)
            made.setdefault(key, ([], told))[0].append(policy.name)
    return {", ".join(names): told for names, told in made.values()}


def render(report: Report, live: str = "") -> str:
    """The page.

    Args:
        report: What it shows.
        live: What a server calls this state of the results: the page has the numbers, and asks
            the server for episodes and pictures. Empty: the page has everything.

    Raises:
        MissingExtra: If jinja2 is not installed.
    """
    served = " 'self'; connect-src 'self'" if live else ""
    policies, origins = report.results.policies, _origins(report.results.policies)
    tables = _tables(policies)
    suites = [
        table
        for one in report.results.suites
        for table in (suite(one.name, one.lines), letters(f"{one.name}: letters", one.lines))
        if table is not None
    ]
    return filled(
        _PACKAGE,
        served,
        report=report,
        facts=_facts(policies),
        tables=tables,
        suites=suites,
        legend=legend(*tables, *suites),
        terms=_terms(policies),
        marks=MARKS,
        origin=shown(json.dumps(origins, indent=2, ensure_ascii=False), _ORIGIN),
        islands={"live-version": live} if live else islands_of(report),
        live=live,
    )


def filled(package: str, served: str = "", **values: Any) -> str:
    """The ``page.html`` of a package, with its ``page.js``, and the style of all pages.

    Args:
        package: Where they are.
        served: What the security policy allows beyond pictures within the page.
        **values: What the template shows, escaped.

    Raises:
        MissingExtra: If jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader
        from markupsafe import Markup
    except ImportError as error:
        raise MissingExtra("jinja2", "cli", "a page") from error
    folder = "/".join(package.split(".")[1:])
    environment = Environment(
        loader=PackageLoader(_PACKAGE.partition(".")[0], ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value, _ORIGIN * 2) if type(value) is str else value,
    )
    style, script = _file(_PACKAGE, "page.css"), _file(package, "page.js")
    security = (
        f"default-src 'none'; img-src data:{served}; style-src {_hash(style)}; "
        f"script-src {_hash(script)}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return environment.get_template(f"{folder}/page.html").render(
        security=security,
        style=Markup(style),
        script=Markup(script),
        json=lambda value: Markup(island(value)),
        uri=Markup,
        **values,
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _file(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text("utf-8")


def _facts(policies: Sequence[Policy]) -> list[tuple[str, str, str]]:
    """The headline in four numbers: of the only policy, or of the one that decides for itself."""
    told = [p for p in policies if p.numbers is not None]
    one = told[0] if len(told) == 1 else next((p for p in told if p.mode == "visionthink"), None)
    if one is None or one.numbers is None:
        return []
    numbers, spread = one.numbers, one.numbers["interval_95"]

    def part(key: str, form: str) -> str:
        return "–" if numbers[key] is None else format(numbers[key], form)

    def ends(key: str) -> str:
        return "95 %: " + "–".join(format(end, ".3f") for end in spread[key] or ())

    return [
        (f"accuracy of {one.name}", part("accuracy", ".3f"), ends("accuracy")),
        ("asks for the original", part("request_rate", ".1%"), ends("request_rate")),
        (
            "visual tokens, of full",
            part("token_ratio", ".3f"),
            f"{part('visual_tokens', ',.1f')} each",
        ),
        (
            "episodes",
            f"{numbers['n']:,}",
            f"{numbers['unscored']:,} unscored, {numbers['refused']:,} refused",
        ),
    ]


def _tables(policies: Sequence[Policy]) -> list[Table]:
    """All policies, then by source and by kind of question."""
    told = {p.name: p.numbers for p in policies if p.numbers is not None}
    if not told:
        return []
    groups = [by_group(key, told) for key in ("source", "kind")]
    return [results("policy", "", told), *(table for table in groups if table.rows)]


def _terms(policies: Sequence[Policy]) -> dict[str, str]:
    """The modes that are shown, and what they are."""
    names = dict.fromkeys(p.mode.partition("@")[0] for p in policies)
    return {n: (MODES.get(n).__doc__ or "").strip() for n in names if n in MODES.names()}


def islands_of(report: Report) -> dict[str, Any]:
    """The data, which the script parses when it is needed; pictures last."""
    meta: dict[str, Any] = {"policies": [_meta(shown) for shown in report.shown]}
    if report.config.beside and len(report.shown) > 1:
        meta["beside"] = 1
    made: dict[str, Any] = {"meta": meta, "samples": report.samples}
    made |= {f"episodes-{i}": episodes for i, episodes in enumerate(report.episodes)}
    return {**made, "pictures": report.pictures}


def _meta(one: Shown) -> dict[str, Any]:
    """What the filters say of a policy."""
    rows, found = [row for row, _ in one.kept], one.counts()
    return all_shown(
        {
            "name": one.policy.name,
            "counts": found,
            "why": {name: True for name in PAIRED if found[name]["unknown"]},
            "told": _told(one, found),
            "kinds": sorted({row["kind"] for row in rows}),
            "sources": sorted({row["source"] for row in rows}),
            "low": one.arms.low,
            "high": one.arms.high,
        }
    )


def _told(one: Shown, found: Mapping[str, Mapping[str, int]]) -> str:
    """Where the marks that need both arms come from, or why they cannot be known."""
    low, high = one.arms.low, one.arms.high
    parts = [
        f"Held against {low}, which never asks. Helped: it asked and is right, and {low} is wrong; "
        f"harmed: the other way round. Asked needlessly: it asked, and {low} is right, if by luck."
        if low
        else "Whether asking helped, harmed or was needless cannot be known: no run here plays the "
        "same questions without asking (a request that gained no tokens was needless all the "
        "same).",
        f"Should have asked: it did not, is wrong, and {high}, which always sees "
        f"{'the place of the answer' if 'oracle-crop' in high else 'the original'}, is right."
        if high
        else "Whether it should have asked cannot be known: no run here always sees the original "
        "of the same questions.",
    ]
    for arm, name, what in ((low, "needless", "requests"), (high, "missed", "direct answers")):
        if arm and (unknown := found[name]["unknown"]):
            parts.append(f"Unknown for {unknown:,} {what}: unscored, or not played by {arm}.")
    return " ".join(parts)
