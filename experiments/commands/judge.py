"""``vt judge``: verdicts for what is on disk, and how far verdicts agree with labels."""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from experiments.commands.options import (
    console,
    mode_of,
    natural,
    need_rich,
    positive,
    refuse_own,
    told,
)
from experiments.evaluation.result import EPISODES, RESULT
from experiments.files import json_rows, new_file
from experiments.judging.agreement import (
    Pair,
    agreement,
    kind_of,
    kind_table,
    labelled,
    stratified,
    verdict_table,
    write_sample,
)
from experiments.judging.recorded import (
    Verdicts,
    answers,
    folders_of,
    recording_of,
    rescore,
)
from experiments.parsing import Parser, option
from trainers.results import begin, look
from vt_env import ConfigError, DataError, make_judge

DESCRIPTION = """\
Judge what is on disk:

  vt judge FILE --out OUT          a JSONL file, a row an answer: question; references (a list, or
                                   one; ground_truth means the same); prediction, the answer or a
                                   whole turn; answer_type and choices are optional. OUT has the
                                   same rows with verdict (true, false, or null: unscored), judge
                                   and reason. Where rows have a label (true or false), agreement
                                   with it is shown: Cohen's kappa, false accepts, and what was
                                   accepted of each kind of wrong answer (by attack, kind, category)
  vt judge RESULTS --out DIR       episodes of vt eval (a folder or a file), judged anew; without
                                   --judge only summed up anew
  vt judge lmms:PATH[,metric=NAME][,task=NAME][,facts=FILE] --out DIR
                                   the same of lmms-eval's sample logs, and where our verdicts
                                   differ from its own; --variant judges as a benchmark does

and have a person check a sample of verdicts:

  vt judge JUDGED --sample SAMPLE  half judged right, half wrong, in an order that tells nothing and
                                   without the verdicts; write true or false into each row's label,
                                   or leave null what cannot be told
  vt judge JUDGED --labels SAMPLE  how far the verdicts agree with the labels
"""
KIND = "judge"
_SHOWN = 5


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    option(parser, "WHAT", "a file of answers, recorded episodes, or lmms:PATH")
    option(parser, "--judge NAME",
           "who judges (default: auto, or as recorded); a model as in openai:MODEL@URL or "
           "cascade:openai:MODEL@URL,concurrency=64,cache=FILE")  # fmt: skip
    option(parser, "--out OUT", "where verdicts go", Path)
    how = parser.add_mutually_exclusive_group()
    option(how, "--resume", "go on with what was interrupted, in OUT.part")
    option(how, "--overwrite", "replace verdicts that are in OUT")
    group = parser.add_argument_group("a benchmark's own judge, for lmms:PATH")
    option(group, "--variant NAME", "of the benchmark's metric: fixed, official or rules")
    option(group, "--judge-model JUDGE", "who judges where the metric is a language model's")
    group = parser.add_argument_group("a person's labels")
    option(group, "--sample SAMPLE", "where a sample to label goes", Path)
    option(group, "--labels SAMPLE", "the sample with labels", Path)
    option(group, "--n N", "rows of a sample", positive, 100)
    option(parser, "--seed S", "of a sample, and of intervals", natural, 0)


def run(arguments: argparse.Namespace) -> None:
    """Judge, draw a sample, or compare with its labels."""
    need_rich()
    what, ways = arguments.what, ("out", "sample", "labels")
    given = [f"--{name}" for name in ways if getattr(arguments, name) is not None]
    if len(given) != 1:
        raise ConfigError(f"expected one of --out, --sample and --labels, got {len(given)}")
    if arguments.sample is not None:
        _draw(arguments)
    elif arguments.labels is not None:
        _compare(arguments)
    elif what.startswith("lmms:") or _is_results(Path(what)):
        _rescore(arguments)
    elif arguments.variant or arguments.judge_model:
        raise ConfigError("--variant and --judge-model go with lmms:PATH")
    else:
        _verdicts(arguments)


def _is_results(path: Path) -> bool:
    """Whether a path is of recorded episodes, and not a file of answers."""
    if path.is_dir():
        return True
    try:
        _, first = next(json_rows(path), (0, {"correct": None}))
    except DataError:
        return False
    return "prediction" not in first and bool({"correct", "well_formed", "turns"} & first.keys())


def _verdicts(arguments: argparse.Namespace) -> None:
    """Check every row, then judge in batches and write."""
    from experiments.screen import progress_bar

    file, out, spec = Path(arguments.what), arguments.out, arguments.judge or "auto"
    if out.exists() and file.exists() and out.samefile(file):
        raise ConfigError("--out is the file that is read; choose another name")
    part = Verdicts(out, file, spec)
    part.look(mode_of(arguments))
    counts: Counter[Pair] = Counter()
    kinds: defaultdict[str, Counter[bool | None]] = defaultdict(Counter)
    with ExitStack() as held:
        judge = make_judge(spec)
        held.callback(judge.close)
        total = sum(1 for _ in answers(file))
        held.enter_context(part.begun(arguments.resume))
        bar = held.enter_context(progress_bar("judging", total))
        for done, row in enumerate(part.judged(judge), 1):
            label = row.get("label") if isinstance(row.get("label"), bool) else None
            counts[label, row["verdict"]] += 1
            if label is False and (kind := kind_of(row)):
                kinds[kind][row["verdict"]] += 1
            bar(done)
        part.finish()
    screen = console()
    screen.show(verdict_table(counts, judge.name))
    screen.say(f"written to {out}")
    if any(label is not None for label, _ in counts):
        screen.show(agreement(counts.elements()).table())
    if kinds:
        screen.show(kind_table(kinds))
    if (usage := judge.usage) is not None:
        screen.say(str(usage))


def _rescore(arguments: argparse.Namespace) -> None:
    """Episodes that are on disk, or lmms-eval's sample logs, as results."""
    from experiments.commands.presenting import DRAWN, present
    from experiments.lmms.scoring import PREFIX, recordings_of
    from experiments.screen import progress_bar

    what, judge, variant, model = (
        getattr(arguments, name) for name in ("what", "judge", "variant", "judge_model")
    )
    if arguments.resume:
        raise ConfigError("--resume is for a file of answers; add --overwrite to begin anew")
    if judge is not None and variant is not None:
        raise ConfigError("--judge and --variant both say who judges: choose one")
    mode, out = mode_of(arguments), arguments.out
    look(out, KIND, mode, resumes=False)
    if judge is not None:
        make_judge(judge).close()
    if what.startswith(PREFIX):
        recordings = recordings_of(what, judge, variant, model)
    elif variant is not None or model is not None:
        raise ConfigError("--variant and --judge-model go with lmms:PATH")
    else:
        recordings = [recording_of(Path(what), judge)]
    refuse_own(arguments, what)
    names = [f"{folder}{name}" for folder in folders_of(recordings) for name in (EPISODES, RESULT)]
    owns, settings = [*names, *DRAWN], told(arguments)
    with begin(out, KIND, owns, mode, settings=settings, resumes=False) as results:
        with progress_bar("judging") as bar:
            made = rescore(recordings, out, arguments.seed, bar)
        present(made, out)
        _beside_lmms(made)
        results.finish()


def _beside_lmms(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Our verdicts beside lmms-eval's, where results are of its logs."""
    from experiments.result_tables import beside_lmms

    beside = {name: found for name, r in results.items() if (found := r.get("lmms"))}
    if not beside:
        return
    screen = console()
    screen.show(beside_lmms(beside))
    for name, found in beside.items():
        for one in found.get("differ", [])[:_SHOWN]:
            screen.say(
                f"{one['id']}: lmms-eval {one['lmms']:g}, here {one['ours']:g}: "
                f"{one['answer']!r:.60} for {one['references']!r:.60} ({one['reason']})"
            )
        if (more := len(found.get("differ", [])) - _SHOWN) > 0:
            screen.say(f"{name}: {more} more are in its result.json, under lmms.differ")
        if found.get("facts", {}).get("altered"):
            screen.say(f"{name}: the task's filters changed {found['facts']['altered']} answers")


def _draw(arguments: argparse.Namespace) -> None:
    """A sample for a person."""
    out = arguments.sample
    if os.path.lexists(out):
        raise ConfigError(f"{out} is there already, perhaps with labels; choose another")
    new_file(out, "judge", False, lambda _: False)
    chosen, total = write_sample(Path(arguments.what), out, arguments.n, arguments.seed)
    console().say(f"{chosen} of {total} rows to label: {out}")


def _compare(arguments: argparse.Namespace) -> None:
    """Verdicts beside the labels of a sample of them."""
    pairs, strata = labelled(Path(arguments.what), arguments.labels)
    screen = console()
    screen.show(agreement(pairs).table())
    for name, stratum in zip(("right", "wrong"), strata, strict=True):
        screen.say(f"judged {name}: {stratum.agreed} of {stratum.n} labels agree")
    if (found := stratified(strata)) is not None:
        screen.say(
            f"over all {sum(s.size for s in strata)} rows: agreement {found[0]:.3f}, "
            f"95 % interval {found[1]:.3f} to {found[2]:.3f}"
        )
