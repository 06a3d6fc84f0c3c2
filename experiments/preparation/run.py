"""A preparation from its data to its folders."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agents import Agent
from experiments.checkpoints import fingerprints
from experiments.files import write_json
from experiments.preparation import cold_start, log, page, settings, writing
from experiments.preparation.rolling import roll_out
from experiments.preparation.rule import Arm, Rule
from experiments.preparation.screening import Screen
from experiments.preparation.selection import Balance, class_of
from experiments.preparation.settings import Settings
from experiments.preparation.tally import Tally
from experiments.provenance import provenance
from trainers.tracking import alone_in
from vt_env import DataError, Judge, Sample, Source, make_task, open_source

JSONL, HF = "jsonl", "hf"
FORMATS = (JSONL, HF)
COLD_START, REPORT, PAGE, PLOT = "cold-start", "report.json", "report.html", "plot"
DRAWN = tuple(
    f"{name}.{kind}"
    for name in (PLOT, "report-accuracy", "report-requests")
    for kind in ("png", "svg")
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is made of the rollouts; it may differ from one run over them to the next.

    Attributes:
        rule: Says of which class a sample is.
        balance: How many are kept.
        formats: Which of :data:`FORMATS` are written.
        transcripts: Cold-start transcripts; 0 for none.
        thoughts: What is thought before a request in them.
        page: Whether ``report.html`` and its plot are made.
    """

    rule: Rule
    balance: Balance
    formats: tuple[str, ...] = FORMATS
    transcripts: int = 0
    thoughts: tuple[str, ...] = cold_start.THOUGHTS
    page: bool = False


@dataclass(slots=True)
class Preparation:
    """One preparation, with its data and its judge open.

    Attributes:
        out: Its folder.
        settings: What is rolled out how.
        source: The data.
        against: The evaluation sets.
        judge: Who judges.
        total: Samples that count, from the start of the data.
        unread: Samples of the evaluation sets whose pictures are refused.
    """

    out: Path
    settings: Settings
    source: Source
    against: Sequence[Source]
    judge: Judge
    total: int
    unread: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])

    def roll_out(
        self, agent: Callable[[], Agent], *, batch: int = 16, max_refused: float = 0.1
    ) -> Iterator[log.Row]:
        """Go on until every sample has its row; see :func:`~.rolling.roll_out`."""
        low = self.settings.task(self.source, self.judge, low=True)
        screen = Screen(low.protocol, self.settings.near)
        try:
            self.unread = [
                refused for held in self.against for refused in screen.hold_out(held) if refused
            ]
            yield from roll_out(
                self.settings,
                self.source,
                agent,
                self.judge,
                self.out,
                screen=screen,
                total=self.total,
                batch=batch,
                max_refused=max_refused,
            )
        finally:
            screen.close()

    def rows(self) -> Iterator[log.Row]:
        """The rows that there are."""
        return log.RolloutLog(self.out / log.FILE).rows(self.total)

    def make(self, wanted: Wanted, tally: Tally) -> dict[str, Any]:
        """Write data, report, and whatever else is wanted; what is there of others is deleted.

        Args:
            wanted: What.
            tally: Has counted all rows by the same rule.

        Returns:
            What ``report.json`` says.

        Raises:
            DataError: If there is nothing to write, after the report is written.
        """
        places = wanted.balance.choose(self.rows(), wanted.rule)
        made = self._report(wanted, tally, {name: len(found) for name, found in places.items()})
        write_json(self.out / REPORT, made)
        if wanted.page:
            self._page(wanted, tally, made)
        if not any(places.values()):
            _delete(self.out, JSONL, HF, COLD_START)
            classes = ", ".join(f"{n} {c}" for c, n in made["classes"].items())
            raise DataError(
                f"there is nothing to write: the samples are {classes}, and each class is cut to "
                f"what the smallest of {', '.join(places)} has. {self.out / REPORT} says more; "
                "--unequal keeps what there is of each"
            )
        kept = {n for found in places.values() for n in found}
        writing.write_jsonl(self.out / JSONL, self._chosen(kept, wanted.rule), self.source.name)
        if HF in wanted.formats:
            writing.write_hf(self.out / HF, self.out / JSONL, self.settings.factor)
        if wanted.transcripts:
            made["cold_start"] = self._cold_start(wanted)
            write_json(self.out / REPORT, made)
        self._clear(wanted)
        return made

    def _chosen(self, kept: set[int], rule: Rule) -> Iterator[tuple[Sample, dict[str, Any]]]:
        for row in self.rows():
            if row["n"] in kept:
                arms = {key: Arm.of(row[key]).row() for key in ("low", "full")}
                yield self.source[row["n"]], {"class": class_of(row, rule), **arms}

    def _cold_start(self, wanted: Wanted) -> dict[str, int]:
        seed = wanted.balance.seed
        places = cold_start.choose(self.rows(), wanted.rule, wanted.transcripts, seed)
        counts = {kind: len(found) for kind, found in places.items()}
        if not any(counts.values()):
            _delete(self.out, COLD_START)
            raise DataError(
                "there is nothing for a cold start: it needs right and well-formed rollouts, at "
                "the low resolution where a sample is low_enough, at the full one where it is "
                "needs_high"
            )
        told = self.settings
        task = make_task(
            self.source,
            judge=self.judge,
            tokens=told.tokens,
            prompt=told.prompt,
            factor=told.factor,
            first_look=told.first_look,
        )
        cold_start.write(
            self.out / COLD_START,
            self.source,
            task,
            cold_start.chosen(self.rows(), places, seed),
            seed=seed,
            thoughts=wanted.thoughts,
        )
        return counts

    def _report(self, wanted: Wanted, tally: Tally, kept: Mapping[str, int]) -> dict[str, Any]:
        return {
            **asdict(self.settings),
            "rule": asdict(wanted.rule),
            "balance": asdict(wanted.balance),
            "kept": dict(kept),
            **tally.report(),
            "not_opened": [{"id": str(r.row), "reason": r.reason} for r in self.source.refused],
            "against_unread": [dict(refused) for refused in self.unread],
            "provenance": provenance(self.settings.seed, self.source.fingerprint()),
        }

    def _page(self, wanted: Wanted, tally: Tally, made: Mapping[str, Any]) -> None:
        page.draw(tally, wanted.rule, f"{self.source.name}: {made['agent']}", self.out / PLOT)
        tasks = {
            key: self.settings.task(self.source, self.judge, low=key == "low")
            for key in ("low", "full")
        }
        shown = page.examples(self.rows(), wanted.rule, self.source, tasks, wanted.balance.seed)
        page.write_page(
            self.out / PAGE,
            tally,
            shown,
            title=f"Training data by difficulty: {self.source.name}",
            source=self.source,
            kept=made["kept"],
            plot=self.out / PLOT,
            summary=made,
        )

    def _clear(self, wanted: Wanted) -> None:
        """Delete what was made of the rollouts before and is not wanted now."""
        unwanted = [name for name in FORMATS if name not in wanted.formats]
        _delete(self.out, *unwanted, *(() if wanted.transcripts else (COLD_START,)))
        if not wanted.page:
            _delete(self.out, PAGE, *DRAWN)


@contextmanager
def opened(
    out: Path,
    told: Settings,
    judge: Judge,
    *,
    resume: bool = False,
    limit: int | None = None,
    source: Source | None = None,
) -> Iterator[Preparation]:
    """Open a preparation, which no other process may write to meanwhile.

    Args:
        out: Its folder.
        told: Its settings.
        judge: Who judges, as ``told.judge`` says.
        resume: Whether it was begun before; then it must be on the same data.
        limit: Samples from the start of the data; all by default.
        source: The data, if they are open already.

    Raises:
        ConfigError: If it goes on with other data.
        DataError: If data cannot be opened.
        TrainingError: If another process is at it.
    """
    data = open_source(told.data) if source is None else source
    against = [open_source(spec) for spec in told.against]
    with alone_in(out):
        prints = {
            "data": data.fingerprint(),
            "against": [held.fingerprint() for held in against],
            "prompt": _prompts(told, data, judge),
            **({"checkpoint": weights} if (weights := fingerprints(told.agent)) else {}),
        }
        if resume:
            settings.same_data(out, prints)
        else:
            settings.begin(out, told, prints)
        total = len(data) if limit is None else min(limit, len(data))
        yield Preparation(out, told, data, against, judge, total)


def forget(out: Path) -> None:
    """Delete a preparation, and nothing else that is in its folder."""
    _delete(out, JSONL, HF, COLD_START, settings.FILE, log.FILE, REPORT, PAGE, *DRAWN)


def _delete(out: Path, *names: str) -> None:
    for name in names:
        path = out / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _prompts(told: Settings, data: Source, judge: Judge) -> str:
    """A hash of all that is said to the agent but the question."""
    rules = [told.task(data, judge, low=low).protocol for low in (True, False)]
    said = [[rule.system, asdict(rule.prompt)] for rule in rules]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
