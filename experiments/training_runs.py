"""Training runs beside one another, each a ``vt train`` in a process of its own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from experiments.evaluation.workers import end_with_parent
from experiments.files import json_object
from trainers.errors import TrainingError
from trainers.results import Stamp
from trainers.tracking import LOG, JsonLines

_LOOK = 0.5
"""Seconds between two looks at how far runs are."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        name: Of the run.
        words: What follows ``vt train``, but for the folder.
        folder: Of the run. What is there is gone on from; what is whole is not done again.
    """

    name: str
    words: Sequence[str]
    folder: Path

    @property
    def log(self) -> Path:
        """What the process prints: a file beside the folder."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def step(self) -> int:
        """Steps done."""
        file = self.folder / LOG
        return max((row["step"] for row in JsonLines(file).rows()), default=0)

    @property
    def checkpoint(self) -> Path:
        """Of the finished run: its model."""
        return self.folder / json_object(self.folder / "result.json")["checkpoint"]


def train(runs: Sequence[Run], at_once: int, shown: Callable[[Sequence[int]], None]) -> None:
    """Do what is not done yet; one thread a run.

    Args:
        runs: In the order in which they begin.
        at_once: Most processes.
        shown: Told now and then how many steps each run has done.

    Raises:
        TrainingError: If a run fails; the others are stopped, and can be gone on with.
    """
    left, running = list(runs), dict[str, BaseProcess]()
    try:
        while left or running:
            while left and len(running) < at_once:
                run = left.pop(0)
                running[run.name] = _started(run)
            wait([process.sentinel for process in running.values()], _LOOK)
            shown([run.step for run in runs])
            for run in runs:
                process = running.get(run.name)
                if process is not None and process.exitcode is not None:
                    del running[run.name]
                    _check(run, process.exitcode)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()


def _check(run: Run, code: int) -> None:
    if code:
        said = run.log.read_text("utf-8", "replace").strip().splitlines()
        raise TrainingError(
            f"training {run.name} ended with code {code}, see {run.log}; it said last: "
            f"{said[-1] if said else 'nothing'}"
        )


def _started(run: Run) -> BaseProcess:
    words = ["train", *run.words, "--out", str(run.folder)]
    if Stamp.read(run.folder) is not None:
        words.append("--resume")
    run.log.parent.mkdir(parents=True, exist_ok=True)
    process = get_context("spawn").Process(target=_work, args=(words, run.log), name=run.name)
    process.start()
    return process


def _work(words: Sequence[str], log: Path) -> None:
    """The process's part."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    with log.open("ab") as stream:
        for standard in (1, 2):
            os.dup2(stream.fileno(), standard)
    from experiments.cli import main
    from experiments.commands.options import need_torch

    need_torch()
    sys.exit(main(words))
