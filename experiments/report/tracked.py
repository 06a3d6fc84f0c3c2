"""A report in Weights & Biases: the same tables and plots, where a run is tracked.

It is a run of its own in the group of the run that it is about, which is closed by then.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.report.page import Report
from experiments.result_tables import RATES, results, suite
from experiments.tables import Column, Table
from trainers.wandb_view import wandb_view

EPISODES = 200
"""Episodes with pictures in the table."""


def track(report: Report, mode: str, project: str, name: str, out: Path) -> bool:
    """Show a report in W&B.

    Args:
        report: The report.
        mode: See :func:`trainers.wandb_view.wandb_view`.
        project: W&B project.
        name: Name of the run that it is about.
        out: Folder under which W&B writes.

    Returns:
        Whether there is a view.
    """
    view = wandb_view(mode, project=project, name=name, out=out, config={"report": True})
    if view is None:
        return False
    plots = {
        figure.name: figure.path.with_name(f"{figure.path.name}.png") for figure in report.figures
    }
    view.report({k: _written(t) for k, t in tables_of(report).items()}, plots, report.page)
    view.finish(None)
    return not view.failed


def _written(table: Table) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """A table as W&B takes it: numbers as they are, intervals as text."""
    rows = [
        [
            column.cell(value) if isinstance(value, tuple | list) else value
            for column, value in zip(table.columns, row, strict=True)
        ]
        for row in table.rows
    ]
    return table.names, rows


def tables_of(report: Report) -> dict[str, Table]:
    """Policies, groups of questions, benchmarks, and some episodes with their pictures."""
    told = {p.name: p.numbers for p in report.results.policies if p.numbers is not None}
    groups = [
        [name, key, group, *results("", "", {"": part}).rows[0][1:]]
        for name, numbers in told.items()
        for key in ("source", "kind")
        for group, part in numbers[f"by_{key}"].items()
    ]
    heads = [Column(head, text=True) for head in ("policy", "by", "group")]
    made = {
        "policies": results("policy", "", told),
        "groups": Table("", [*heads, *RATES], groups),
        "episodes": _episodes(report),
    }
    tables = {one.name: suite("", one.lines) for one in report.results.suites}
    if tables:
        columns = [Column("agent", text=True), *next(iter(tables.values())).columns]
        rows = [[name, *row] for name, table in tables.items() for row in table.rows]
        made["benchmarks"] = Table("", columns, rows)
    return made


def _episodes(report: Report) -> Table:
    """The first episodes of the first policy: those of the page that have a picture."""
    columns = ("id", "picture", "question", "references", "turns", "correct", "reason", "asked",
               "visual tokens", "reward", "marks")  # fmt: skip
    rows: list[list[Any]] = []
    for episode in report.episodes[0] if report.episodes else ():
        sample = report.samples[episode["sample"]]
        if "picture" in sample and len(rows) < EPISODES:
            turns = [f"{t}\n{does}: {text}" for t, does, text in episode.get("turns", ())]
            rows.append(
                [
                    sample["id"],
                    _picture(report.pictures[sample["picture"]]),
                    sample["question"],
                    " | ".join(sample.get("references", ())),
                    "\n---\n".join(turns),
                    *(episode.get(key) for key in ("correct", "reason", "requested", "tokens")),
                    episode.get("reward", {}).get("total"),
                    ", ".join(episode.get("marks", ())),
                ]
            )
    return Table("", [Column(name) for name in columns], rows)


def _picture(data_uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2])))
