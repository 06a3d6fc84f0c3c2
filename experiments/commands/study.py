"""``vt study``: many training runs, a table and a figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from experiments import study as studies
from experiments.commands.options import console, positive
from experiments.files import whole_file, write_json
from experiments.provenance import provenance
from trainers import TrainingError

DESCRIPTION = f"""\
Train one recipe in several ways, from several seeds, and compare: a TOML file, or a shipped study
by its name. Finished runs are kept: stop it at any time, and go on with the same command.

studies: {", ".join(sorted(path.stem for path in studies.FOLDER.glob("*.toml")))}
"""
EPILOG = """\
In DIR: table.md; requests and rewards, .png and .svg, over training; result.json (every run's
numbers and what it missed); warmup/ and a folder for each run, as vt train writes it.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "study",
        help="compare many training runs",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("study", metavar="STUDY", help="a study's name or file")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    parser.add_argument(
        "--jobs", type=positive, default=2, metavar="N", help="runs at once (default: 2)"
    )
    parser.set_defaults(run=run)


def carry_out(study: studies.Study, out: Path, jobs: int) -> None:
    """Run what is left, and say so.

    Raises:
        TrainingError: If runs failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    every = studies.runs(study, out)
    screen = console(stderr=True)
    screen.print(f"{sum(run.done for run in every)} of {len(every)} runs are done")
    for finished in studies.carry_out(study, out, jobs):
        screen.print(f"{'done' if finished.done else 'FAILED'}: {finished.folder}", soft_wrap=True)
    if failed := [run.folder for run in every if not run.done]:
        raise TrainingError(
            f"{len(failed)} of {len(every)} runs failed and are not compared; the first: "
            f"{failed[0]}, see log.txt there"
        )


def run(arguments: argparse.Namespace) -> None:
    """Run what is left, then write the comparison of all."""
    study, out = studies.load_study(arguments.study), arguments.out
    try:
        carry_out(study, out, arguments.jobs)
    finally:
        _compare(study, out)


def _compare(study: studies.Study, out: Path) -> None:
    if not (rows := studies.outcomes(study, out)):
        return
    lines = studies.table(study, rows)
    with whole_file(out / "table.md") as stream:
        stream.write("\n".join(lines) + "\n")
    studies.draw(study, out)
    write_json(out / "result.json", {"runs": rows, "provenance": provenance(study.seeds[0], "")})
    console().print("\n".join(lines), soft_wrap=True)
