"""``vt study``: many training runs, a table and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments import study as studies
from experiments.commands.options import console, need_rich, positive, told
from experiments.files import write_json
from experiments.parsing import Parser, option
from experiments.provenance import provenance
from trainers import TrainingError
from trainers.files import whole_file

DESCRIPTION = """\
Train one recipe in several ways, from several seeds, and compare: a TOML file, or in a checkout a
named study (vt list studies). Finished runs are kept: stop it at any time, and go on with the same
command.
"""
EPILOG = """\
In DIR: table.md; requests and rewards, .png and .svg, over training; result.json (every run's
numbers and what it missed); warmup/ and a folder for each run, as vt train writes it.
"""
KIND = "study"
OWNS = (
    *("table.md", "result.json"),
    *(f"{name}.{kind}" for name in ("requests", "rewards") for kind in ("png", "svg")),
)


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "STUDY", "a study's name or file")
    option(parser, "--out DIR", "where results go", Path, required=True)
    option(parser, "--jobs N", "runs at once", positive, 2)


def carry_out(study: studies.Study, out: Path, jobs: int) -> None:
    """Run what is left, and say so."""
    every = studies.runs(study, out)
    screen = console(stderr=True)
    screen.say(f"{sum(run.done for run in every)} of {len(every)} runs are done")
    for finished in studies.carry_out(study, out, jobs):
        screen.say(f"{'done' if finished.done else 'FAILED'}: {finished.folder}")
    if failed := [run.folder for run in every if not run.done]:
        raise TrainingError(
            f"{len(failed)} of {len(every)} runs failed and are not compared; the first: "
            f"{failed[0]}, see {studies.log_of(failed[0])}"
        )


def run(arguments: argparse.Namespace) -> None:
    """Run what is left, then write the comparison of all."""
    need_rich()
    study, out = studies.load_study(arguments.study), arguments.out
    with studies.folder(study, KIND, out, OWNS, told(arguments)) as results:
        try:
            carry_out(study, out, arguments.jobs)
        finally:
            _compare(study, out)
        results.finish()


def _compare(study: studies.Study, out: Path) -> None:
    if not (rows := studies.outcomes(study, out)):
        return
    table = studies.table(study, rows)
    with whole_file(out / "table.md") as stream:
        stream.write(f"{table.markdown()}\n")
    studies.draw(study, out)
    write_json(out / "result.json", {"runs": rows, "provenance": provenance(study.seeds[0], "")})
    console().show(table)
