"""A report in Weights & Biases: the same tables and plots, where a run is tracked.

It is a run of its own in the group of the run that it is about, which is closed by then.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from experiments.report.making import Report
from trainers.wandb_view import wandb_view

EPISODES = 200
"""Episodes with pictures in the table."""

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
_LINE = ("benchmark", "mode", "n", "score", "relative", "token_ratio", "request_rate", "coverage")
_RATES = ("n", "accuracy", "request_rate", "visual_tokens", "token_ratio", "format_rate")


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

    Raises:
        ConfigError: On an unknown mode.
        MissingExtra: If W&B is asked for and not installed.
    """
    view = wandb_view(mode, project=project, name=name, out=out, config={"report": True})
    if view is None:
        return False
    plots = {
        figure.path.name.rpartition("-")[2]: figure.path.with_suffix(".png")
        for figure in report.figures
    }
    view.report(tables_of(report), plots, report.page)
    view.finish(None)
    return not view.failed


def tables_of(report: Report) -> dict[str, Table]:
    """Policies, groups of questions, and some episodes with their pictures."""
    told = {p.name: p.numbers for p in report.results.policies if p.numbers is not None}
    groups = [
        [name, key.removeprefix("by_"), group, *_rates(part)]
        for name, numbers in told.items()
        for key in ("by_source", "by_kind")
        for group, part in numbers[key].items()
    ]
    suites = [
        [suite.name, *(line.get(key) for key in _LINE)]
        for suite in report.results.suites
        for line in suite.lines
    ]
    return {
        **({"benchmarks": (("agent", *_LINE), suites)} if suites else {}),
        "policies": (("policy", *_RATES), [[name, *_rates(n)] for name, n in told.items()]),
        "groups": (("policy", "by", "group", *_RATES), groups),
        "episodes": _episodes(report),
    }


def _rates(numbers: Mapping[str, Any]) -> list[Any]:
    return [numbers[name] for name in _RATES]


def _episodes(report: Report) -> Table:
    """The first episodes of the first policy: those of the page that have a picture."""
    columns = ("id", "picture", "question", "references", "turns", "correct", "reason", "asked",
               "visual tokens", "reward", "marks")  # fmt: skip
    content = report.content
    rows: list[list[Any]] = []
    for episode in content.episodes[0] if content.episodes else ():
        sample = content.samples[episode["sample"]]
        if "picture" in sample and len(rows) < EPISODES:
            rows.append(
                [
                    sample["id"],
                    _picture(content.pictures[sample["picture"]]),
                    sample["question"],
                    " | ".join(sample.get("references", ())),
                    "\n---\n".join(f"{t}\n{does}: {text}" for t, does, text in episode["turns"]),
                    episode.get("correct"),
                    episode.get("reason"),
                    episode.get("requested"),
                    episode.get("tokens"),
                    episode.get("reward", {}).get("total"),
                    ", ".join(episode.get("marks", ())),
                ]
            )
    return columns, rows


def _picture(data_uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(data_uri.partition(",")[2])))
