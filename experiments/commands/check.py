"""``vt train RECIPE --check``: is all as a run needs it, before a machine is paid for?"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path

from experiments.commands.options import console, logged_on
from experiments.files import json_object, new_file, write_json
from experiments.provenance import provenance
from experiments.tables import Column, Table
from trainers import TrainConfig
from trainers.preflight import STAGES, Finding, Preflight
from trainers.preflight.known import Known
from trainers.preflight.sizes import gpu_called
from trainers.runs import record_of_preflight
from vt_env import ConfigError

_COLUMNS = (
    Column("stage", text=True),
    Column("looked at", text=True),
    Column("", text=True),
    Column("found", text=True),
)


def check(arguments: argparse.Namespace, config: TrainConfig) -> None:
    """Look, write ``preflight.json`` beside the run's folder, show, and exit with 2 on a no.

    Raises:
        ConfigError: If no such GPU is known, or something speaks against a start.
    """
    out: Path = arguments.out
    gpu = gpu_called(arguments.gpu) if arguments.gpu else None
    path = record_of_preflight(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file(path, "train --check", True, _is_record)
    screen = console(stderr=True)
    known = Known(config, out, gpu, arguments.price)
    how = [arguments.recipe] if arguments.recipe else []
    how += ["--resume"] if arguments.resume else []
    words = ["vt", "train", *how, "--out", str(out), *arguments.settings]

    def told(finding: Finding) -> None:
        screen.say(f"{STAGES[finding.stage - 1]}: {finding.what}: {finding.verdict}")

    found = Preflight(known, shlex.join(words))
    try:
        with logged_on(screen):
            found.look(arguments.stages, told)
    finally:
        origin = provenance(config.seed, None)
        write_json(path, {**found.record(), "settings": asdict(config), "provenance": origin})
    last, screen = found.findings[-1], console()
    screen.show(table(found))
    screen.say(f"written: {path}")
    if not found.good:
        raise ConfigError(last.says)
    screen.say(f"{last.says}. Start it with:\n{found.command}")


def _is_record(path: Path) -> bool:
    """Whether a file is what an earlier look wrote."""
    return {"good", "findings", "command"} <= json_object(path).keys()


def table(found: Preflight) -> Table:
    """All findings but the last, which is the verdict."""
    rows: list[tuple[str, ...]] = []
    before = 0
    for finding in found.findings[:-1]:
        stage = "" if finding.stage == before else STAGES[finding.stage - 1]
        says = "\n".join(filter(None, (finding.says, finding.advice)))
        rows.append((stage, finding.what, finding.verdict, says))
        before = finding.stage
    return Table("", _COLUMNS, rows)
