"""A run of the trainer ``verl``, whose command is a stand-in; all else of it is real."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from unittest.mock import patch

import stand_in_verl

from trainers import models  # noqa: F401 - a checkpoint is made whole by it
from trainers.base import TrainResult
from trainers.errors import Busy
from trainers.hosted import trainer as hosted
from trainers.hosted.trainer import HostedTrainer
from trainers.runs import run_folder
from trainers.verl.run import VerlRun


def resumed(out: Path) -> TrainResult:
    """What ``vt train --resume`` makes of a run that was written there."""
    run = VerlRun.read(out / "verl")
    words = [sys.executable, "-S", stand_in_verl.__file__, str(run.folder), str(run.config.steps)]
    trainer = HostedTrainer.__new__(HostedTrainer)
    trainer.kind = VerlRun
    with (
        patch.object(VerlRun, "start", lambda self: f"exec {shlex.join(words)}"),
        patch.object(HostedTrainer, "_prepared", lambda *_: run),
        patch.object(hosted, "_LOOK_EVERY", 0.01),
        run_folder(out, "resume"),
    ):
        return trainer.run(run.config, out, None)


def follow(out: str) -> None:
    """The same; a run whose library still goes on is left alone."""
    try:
        resumed(Path(out))
    except Busy:
        print("its library still goes on", file=sys.stderr)
