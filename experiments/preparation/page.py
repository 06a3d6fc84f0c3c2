"""``report.html``: counts, where samples lie, and some of each class with their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agents import Episode, Reply
from experiments.evaluation.rows import episode_row
from experiments.files import json_line, whole_file, write_json
from experiments.plots import success_grid
from experiments.preparation.log import PLAYED
from experiments.preparation.rule import CLASSES, LOW_ENOUGH, NEEDS_HIGH, Arm, Rule
from experiments.preparation.selection import LowestLots, class_of, lot
from experiments.preparation.tally import Tally
from experiments.report import ReportConfig, make_report
from experiments.report.figures import Figure
from vt_env import Sample, Source, Task, Verdict
from vt_env.rewards import RewardConfig, group_rewards

EXAMPLES = 4
"""Samples of each class on the page."""


def draw(tally: Tally, rule: Rule, title: str, out: Path) -> None:
    """The histogram of right rollouts at both resolutions, as ``out`` with .png and .svg."""
    regions = {
        f"{name}: {tally.classes[name]}": lambda low, full, name=name: (
            rule.of(Arm(low, 0, rule.rollouts), Arm(full, 0, rule.rollouts)) == name
        )
        for name in (LOW_ENOUGH, NEEDS_HIGH)
    }
    success_grid(tally.grid, rule.rollouts, regions, title, out)


def write_page(
    out: Path,
    tally: Tally,
    shown: Iterable[tuple[str, Episode]],
    *,
    title: str,
    source: Source,
    kept: Mapping[str, int],
    plot: Path,
    summary: Mapping[str, Any],
) -> None:
    """Write the page; it needs no other file and no network.

    Args:
        out: The page.
        tally: What is counted on it.
        shown: Examples, each at ``low`` or ``full``.
        title: Its heading.
        source: Has the pictures.
        kept: By class, samples that were chosen.
        plot: The histogram, without a suffix.
        summary: Where all this comes from.
    """
    counts = tally.report()
    parts = [
        *(f"{name} {count}" for name, count in counts["classes"].items()),
        *(f"{name} {n}" for name, n in counts["status"].items() if name != PLAYED),
    ]
    chosen = ", ".join(f"{count} of {name}" for name, count in kept.items())
    lead = (
        f"{counts['samples']} samples: {', '.join(parts)}. Kept: {chosen}. "
        "The episodes are examples of each class, once at each resolution; choose a class by kind."
    )
    caption = "Samples by right rollouts at the low and at the full resolution"
    rows: dict[str, list[str]] = {"low": [], "full": []}
    for resolution, episode in shown:
        rows[resolution].append(json_line(episode_row(episode)))
    with TemporaryDirectory() as folder:
        for resolution, lines in rows.items():
            played = Path(folder, resolution)
            played.mkdir()
            with whole_file(played / "episodes.jsonl") as stream:
                stream.writelines(lines)
            told = {"agent": resolution, "by_source": {}, "provenance": dict(summary)}
            write_json(played / "result.json", {**tally.result(resolution), **told})
        folders = [Path(folder, resolution) for resolution in rows]
        config = ReportConfig(title=title, lead=lead, data=source)
        make_report(folders, out, config, [Figure(caption, plot)])


def examples(
    rows: Iterable[Mapping[str, Any]],
    rule: Rule,
    source: Source,
    tasks: Mapping[str, Task],
    seed: int,
) -> Iterator[tuple[str, Episode]]:
    """Two episodes of each of some samples of each class: a rollout at each resolution.

    Args:
        rows: All of ``rollouts.jsonl``, read once.
        rule: Says of which class samples are.
        source: The data.
        tasks: The tasks that were played, by ``low`` and ``full``.
        seed: Of the choice.
    """
    lots = {name: LowestLots(EXAMPLES) for name in CLASSES}
    found: dict[int, Mapping[str, Any]] = {}
    for row in rows:
        if row["status"] == PLAYED and (name := class_of(row, rule)) is not None:
            lots[name].add(lot(seed, row["id"]), row["n"])
            found[row["n"]] = row
            if len(found) > 8 * EXAMPLES * len(CLASSES):
                found = _still(found, lots)
    for name, kept in lots.items():
        for n in kept.places(EXAMPLES):
            for key, task in tasks.items():
                row = found[n]
                right = {side: Arm.of(row[side]).right for side in ("low", "full")}
                shown = f"{name}: right {right['low']} low, {right['full']} full"
                yield key, _episode(task, source[n], row[key][0], shown, name)


def _still(
    found: Mapping[int, Mapping[str, Any]], lots: Mapping[str, LowestLots]
) -> dict[int, Mapping[str, Any]]:
    """Those rows that may still be shown."""
    places = {n for kept in lots.values() for n in kept.places(EXAMPLES)}
    return {n: row for n, row in found.items() if n in places}


def _episode(
    task: Task, sample: Sample, rollout: Mapping[str, Any], shown: str, name: str
) -> Episode:
    """A rollout as an episode of the kind of its sample's class, played again from its text."""
    dialogue = task.begin(replace(sample, kind=name))[0]
    action = dialogue.apply(rollout["text"])
    reason = f"{rollout['reason']} ({shown})"
    verdict = Verdict(rollout["correct"], rollout["judge"], reason)
    outcome = dialogue.outcome(verdict)
    return Episode(
        sample=dialogue.sample,
        messages=dialogue.messages,
        views=dialogue.views,
        replies=[Reply(rollout["text"])],
        actions=[action],
        flaws=dialogue.flaws,
        answer=dialogue.answer,
        futile=dialogue.futile,
        verdict=verdict,
        outcome=outcome,
        reward=group_rewards([outcome], RewardConfig(penalty="none"))[0],
    )
