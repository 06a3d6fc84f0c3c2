"""From folders of results to the page and its plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.report import figures
from experiments.report.gallery import choose, gallery
from experiments.report.page import Content, write_page
from experiments.report.pictures import Pictures
from experiments.report.reading import read_results
from experiments.report.records import Results
from vt_env import ConfigError, Source

PICTURES = 600
EPISODES = 20_000


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """What a report holds.

    Attributes:
        title: Its heading; by default the folders' names.
        lead: What stands under it.
        data: The data that has the pictures, or its spec, in place of what the results name.
        pictures: Originals that are embedded, at most.
        episodes: Episodes in the gallery, at most.
    """

    title: str = ""
    lead: str = ""
    data: str | Source | None = None
    pictures: int = PICTURES
    episodes: int = EPISODES


@dataclass(frozen=True, slots=True)
class Report:
    """What was made.

    Attributes:
        page: The HTML file.
        figures: The plots beside it.
        results: What was read.
        content: What the page shows.
    """

    page: Path
    figures: Sequence[figures.Figure]
    results: Results
    content: Content


def make_report(
    folders: Sequence[Path],
    out: Path,
    config: ReportConfig | None = None,
    drawn_before: Sequence[figures.Figure] = (),
) -> Report:
    """Read results, draw, and write the page and, beside it, the plots.

    Args:
        folders: What ``vt eval``, ``vt train`` or ``vt demo`` wrote.
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
    results = read_results(folders)
    notes = results.notes
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = [
        *drawn_before,
        *figures.draw(results.policies, results.runs, out.with_suffix("")),
    ]
    pictures = Pictures(config.pictures, notes, config.data)
    shown = choose([p for p in results.policies if p.rows], config.episodes, notes)
    samples, episodes = gallery(shown, pictures)
    if pictures.skipped:
        notes.add(
            f"{config.pictures:,} pictures are embedded, those of notable episodes first; "
            f"{pictures.skipped:,} samples are shown by size alone. More with --pictures N"
        )
    named = config.title or ", ".join(folder.resolve().name for folder in folders)
    content = Content(
        title=named,
        lead=config.lead or _lead(results),
        policies=results.policies,
        notes=notes.lines(),
        suites=results.suites,
        figures=drawn,
        shown=shown,
        samples=samples,
        episodes=episodes,
        pictures=pictures.embedded,
        origin={p.name: dict(p.origin) for p in results.policies if p.origin},
    )
    write_page(out, content)
    return Report(out, drawn, results, content)


def _lead(results: Results) -> str:
    """What the report is about, in a sentence."""
    data = sorted({p.data for p in results.policies if p.data and p.numbers is not None})
    parts = [f"Played on {', '.join(data)}."] if data else []
    if results.runs:
        steps = sum(len(run.metrics) for run in results.runs)
        runs = len(results.runs)
        parts.append(f"{runs} training run{'s' * (runs > 1)}, {steps:,} steps.")
    return " ".join(parts)
