"""A preparation from its data to its folders.

``rollouts.jsonl`` is the truth of it: one line a sample, in the order of the data.

=================  ========================================================================
id, n              the sample, and its place in the source
status             ``played``, ``duplicate``, ``contaminated`` or ``refused``
reason             why it was not played
kind, source       of the sample
pixels, look, fine the picture's fingerprint, see :mod:`experiments.preparation.screening`
equal, alike       the groups in which a duplicate is looked for
full_tokens        visual tokens of the original
low, full          the rollouts: ``text, answer, correct, judge, reason, well_formed, tokens``
=================  ========================================================================
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from agents import Agent, Episode, rollout
from experiments import episodes
from experiments.episodes import Notes, row_of
from experiments.evaluation.player import check_refused
from experiments.files import SealedLog, write_json
from experiments.plots import success_grid
from experiments.preparation import settings, writing
from experiments.preparation.rule import (
    ARMS,
    CLASSES,
    LOW_ENOUGH,
    NEEDS_HIGH,
    PLAYED,
    REFUSED,
    STATUSES,
    Arm,
    Balance,
    Rule,
    Tally,
    drawn,
)
from experiments.preparation.screening import Screen
from experiments.preparation.settings import Settings
from experiments.provenance import fingerprints, provenance
from experiments.report import ReportConfig, make_report
from experiments.report.figures import Figure
from experiments.report.reading import Policy, Results
from trainers.files import MANIFEST, discard_folder
from trainers.results import Mode, Stamp, begin
from vt_env import DataError, Judge, Sample, Source, Task, make_task, open_source
from vt_env.vector import VisionThinkVectorEnv

logger = logging.getLogger(__name__)

KIND = "prepare"
ROLLOUTS = "rollouts.jsonl"
JSONL, HF = "jsonl", "hf"
FORMATS = (JSONL, HF)
COLD_START, REPORT, PAGE, PLOT = "cold-start", "report.json", "report.html", "plot"
DRAWN = tuple(
    f"{name}.{kind}"
    for name in (PLOT, "report-accuracy", "report-requests")
    for kind in ("png", "svg")
)
EXAMPLES = 4
"""Samples of each class on the page."""

Row = dict[str, Any]


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
    thoughts: tuple[str, ...] = writing.THOUGHTS
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

    def task(self, arm: str) -> Task:
        """What is played at a resolution."""
        return self.settings.task(self.source, self.judge, low=arm == "low")

    def rows(self) -> Iterator[Row]:
        """The rows that there are, in order; an unfinished last one is left out."""
        path = self.out / ROLLOUTS
        found = SealedLog(path).rows() if path.exists() else ()
        for number, row in enumerate(islice(found, self.total)):
            if row.get("n") != number or row.get("status") not in STATUSES:
                raise DataError(
                    f"{path}, line {number + 1}: expected the row of sample number {number}; "
                    "delete the file from this line on, then resume"
                )
            yield row

    def roll_out(
        self, agent: Callable[[], Agent], *, batch: int = 16, max_refused: float = 0.1
    ) -> Iterator[Row]:
        """Go on until every sample has its row.

        What a sample's rollouts are does not depend on ``batch``, on where a run was interrupted,
        or on the samples around it.

        Args:
            agent: Makes the agent; called only if something is left to do.
            batch: Samples at once; each is ``2 * settings.rollouts`` rollouts.
            max_refused: Share of the samples whose pictures may be refused before it stops.

        Yields:
            The rows of all samples in order, those of earlier runs first.
        """
        log = SealedLog(self.out / ROLLOUTS)
        mended = log.mend(in_order=True)
        if mended.aside is not None:
            logger.warning(
                "%s: line %d is damaged; it goes on from there, and the file as it was is %s",
                log.path, mended.kept + 1, mended.aside.name,
            )  # fmt: skip
        screen = Screen(self.task("low").protocol, self.settings.near)
        try:
            self.unread = [told for held in self.against for told in screen.hold_out(held)]
            done = refused = 0
            for row in self.rows():
                screen.remember(row)
                done, refused = done + 1, refused + (row["status"] == REFUSED)
                yield row
            if done == self.total:
                return
            player, tasks = agent(), {arm: self.task(arm) for arm in ARMS}
            for start in range(done, self.total, batch):
                samples = [self.source[n] for n in range(start, min(start + batch, self.total))]
                rows = [screen.row(start + i, sample) for i, sample in enumerate(samples)]
                reasons = [row["reason"] for row in rows if row["status"] == REFUSED]
                refused += len(reasons)
                last = (reasons or [f"see {ROLLOUTS}"])[-1]
                check_refused(refused, self.total, max_refused, last)
                self._play(samples, rows, player, tasks)
                log.append(rows)
                yield from rows
        finally:
            screen.close()

    def _play(
        self,
        samples: Sequence[Sample],
        rows: Sequence[Row],
        player: Agent,
        tasks: Mapping[str, Task],
    ) -> None:
        """Put the rollouts of those that are played into their rows."""
        played = [row for row in rows if row["status"] == PLAYED]
        if not played:
            return
        pairs = zip(samples, rows, strict=True)
        left = [sample for sample, row in pairs if row["status"] == PLAYED]
        data, n = open_source(left, check="none", name=self.source.name), self.settings.rollouts
        for arm, task in tasks.items():
            few = replace(task, source=data)
            env = VisionThinkVectorEnv(len(left) * n, group_size=n, data=few)
            hashed = hashlib.sha256(f"{self.settings.seed} {arm}".encode()).digest()
            seed = int.from_bytes(hashed[:8], "big")  # of one resolution: the two are independent
            made = rollout(env, player, seed=seed, sample_ids=[sample.id for sample in left])
            for place, row in enumerate(played):
                row["full_tokens"] = made[place * n].outcome.full_tokens
                row[arm] = [_rollout(episode) for episode in made[place * n : (place + 1) * n]]

    def make(self, wanted: Wanted, tally: Tally) -> dict[str, Any]:
        """Write data, report, and whatever else is wanted; earlier ones that are not wanted go.

        Where there is nothing to write it is an error, after the report is written.

        Args:
            wanted: What.
            tally: Has counted all rows by the same rule.

        Returns:
            What ``report.json`` says.
        """
        places = wanted.balance.choose(self.rows(), wanted.rule)
        made = {
            **asdict(self.settings),
            "rule": asdict(wanted.rule),
            "balance": asdict(wanted.balance),
            "kept": {name: len(found) for name, found in places.items()},
            **tally.report(),
            "not_opened": [{"id": str(r.row), "reason": r.reason} for r in self.source.refused],
            "against_unread": self.unread,
            "provenance": provenance(self.settings.seed, self.source.fingerprint()),
        }
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
        unwanted = [name for name in FORMATS if name not in wanted.formats]
        unwanted += [] if wanted.transcripts else [COLD_START]
        _delete(self.out, *unwanted, *(() if wanted.page else (PAGE, *DRAWN)))
        return made

    def _chosen(self, kept: set[int], rule: Rule) -> Iterator[tuple[Sample, dict[str, Any]]]:
        for row in self.rows():
            if row["n"] in kept:
                arms = {arm: Arm.of(row[arm]).row() for arm in ARMS}
                yield self.source[row["n"]], {"class": rule.of_row(row), **arms}

    def _cold_start(self, wanted: Wanted) -> dict[str, int]:
        told, seed = self.settings, wanted.balance.seed
        places = writing.choose_transcripts(self.rows(), wanted.rule, wanted.transcripts, seed)
        counts = {kind: len(found) for kind, found in places.items()}
        if not any(counts.values()):
            _delete(self.out, COLD_START)
            raise DataError(
                "there is nothing for a cold start: it needs right and well-formed rollouts, at "
                "the low resolution where a sample is low_enough, at the full one where it is "
                "needs_high"
            )
        writing.write_transcripts(
            self.out / COLD_START,
            self.source,
            make_task(self.source, judge=self.judge, **told.rules()),
            writing.transcripts(self.rows(), places, seed),
            seed=seed,
            thoughts=wanted.thoughts,
        )
        return counts

    def _page(self, wanted: Wanted, tally: Tally, made: Mapping[str, Any]) -> None:
        """``report.html``: counts, where samples lie, and some of each class with pictures."""
        rule, name = wanted.rule, self.source.name
        regions = {
            f"{kind}: {tally.classes[kind]}": lambda low, full, kind=kind: (
                rule.of(Arm(low, 0, rule.rollouts), Arm(full, 0, rule.rollouts)) == kind
            )
            for kind in (LOW_ENOUGH, NEEDS_HIGH)
        }
        plot = self.out / PLOT
        success_grid(tally.grid, rule.rollouts, regions, f"{name}: {made['agent']}", plot)
        places = drawn(
            self.rows(), CLASSES, rule.of_row, EXAMPLES, wanted.balance.seed, equal=False
        )
        kinds = {n: kind for kind, found in places.items() for n in found}
        shown = sorted(
            (row for row in self.rows() if row["n"] in kinds),
            key=lambda row: CLASSES.index(kinds[row["n"]]),
        )
        policies = [
            Policy(
                arm,
                [self._example(row, kinds[row["n"]], arm) for row in shown],
                {**tally.result(arm), "by_source": {}},
                agent=arm,
                data=name,
                origin=dict(made),
            )
            for arm in ARMS
        ]
        aside = {kind: n for kind, n in made["status"].items() if kind != PLAYED}
        counts = ", ".join(f"{kind} {n}" for kind, n in {**made["classes"], **aside}.items())
        chosen = ", ".join(f"{count} of {kind}" for kind, count in made["kept"].items())
        lead = (
            f"{made['samples']} samples: {counts}. Kept: {chosen}. The episodes are examples of "
            "each class, once at each resolution; choose a class by kind."
        )
        config = ReportConfig(f"Training data by difficulty: {name}", lead, self.source)
        caption = "Samples by right rollouts at the low and at the full resolution"
        results = Results(policies, [], [], Notes())
        make_report(results, self.out / PAGE, config, [Figure(caption, plot)])

    def _example(self, row: Row, kind: str, arm: str) -> episodes.Row:
        """The first rollout at a resolution, as an episode whose kind is the sample's class."""
        sample, found = self.source[row["n"]], row[arm][0]
        dialogue = self.task(arm).begin(sample)[0]
        dialogue.apply(found["text"])
        right = {side: Arm.of(row[side]).right for side in ARMS}
        told = f"{found['reason']} ({kind}: right {right['low']} low, {right['full']} full)"
        return row_of(
            id=sample.id,
            question=sample.question,
            references=list(sample.references),
            answer_type=sample.answer_type,
            choices=list(sample.choices),
            kind=kind,
            source=sample.source,
            turns=[found["text"]],
            answer=found["answer"],
            correct=found["correct"],
            judge=found["judge"],
            reason=told,
            well_formed=found["well_formed"],
            flaws=list(dialogue.flaws),
            requested=False,
            visual_tokens=found["tokens"],
            full_tokens=row["full_tokens"],
            views=[list(view.size) for view in dialogue.views],
        )


def _rollout(episode: Episode) -> dict[str, Any]:
    return {
        "text": episode.replies[0].text,
        "answer": episode.answer,
        "correct": episode.verdict.correct,
        "judge": episode.verdict.judge,
        "reason": episode.verdict.reason,
        "well_formed": episode.outcome.well_formed,
        "tokens": episode.outcome.visual_tokens,
    }


def owned(wanted: Wanted) -> list[str]:
    """Names that a preparation writes, relative to its folder."""
    folders = [JSONL, *wanted.formats, *([COLD_START] if wanted.transcripts else [])]
    pictured = [PAGE, *DRAWN] if wanted.page else []
    return [
        *(settings.FILE, ROLLOUTS, f"damaged-{ROLLOUTS}*", REPORT, *pictured),
        *(f"{folder}{end}/*" for folder in folders for end in ("", ".part", ".old")),
    ]


@contextmanager
def opened(
    out: Path,
    told: Settings,
    judge: Judge,
    *,
    wanted: Wanted,
    mode: Mode = "new",
    limit: int | None = None,
    source: Source | None = None,
    words: Mapping[str, Any] | None = None,
) -> Iterator[Preparation]:
    """Open a preparation, which no other process may write to meanwhile.

    Args:
        out: Its folder.
        told: Its settings.
        judge: Who judges, as ``told.judge`` says.
        wanted: What will be made of the rollouts.
        mode: What is to be done; of a resume the data must be the same.
        limit: Samples from the start of the data; all by default.
        source: The data, if they are open already.
        words: What a stamp keeps of the command.
    """
    data = open_source(told.data) if source is None else source
    against = [open_source(spec) for spec in told.against]
    protocols = [told.task(data, judge, low=low).protocol for low in (True, False)]
    said = [[rules.system, asdict(rules.prompt)] for rules in protocols]
    read = {
        "data": data.fingerprint(),
        "against": [held.fingerprint() for held in against],
        "prompt": hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest(),
        **({"checkpoint": weights} if (weights := fingerprints(told.agent)) else {}),
    }
    formal = (settings.FILE,)
    with begin(out, KIND, owned(wanted), mode, settings=words, formal=formal) as results:
        begun = any((out / name).exists() for name in (settings.FILE, ROLLOUTS))
        settings.settle(out, told, read, resume=mode == "resume" and begun)
        if mode == "resume" and words is not None:
            results.remember(settings=words)
        total = len(data) if limit is None else min(limit, len(data))
        yield Preparation(out, told, data, against, judge, total)
        results.finish()


def _delete(out: Path, *names: str) -> None:
    """Delete what an earlier run over the rollouts made; of others' files nothing is deleted."""
    stamp = Stamp.read(out)
    for name in names:
        path = out / name
        if stamp is not None and path.is_dir() and stamp.has(f"{name}/{MANIFEST}"):
            if stray := discard_folder(path):
                logger.warning("%s is kept, since %s lies in it", path, stray)
        elif stamp is not None and stamp.has(name):
            path.unlink(missing_ok=True)
