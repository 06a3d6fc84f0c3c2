"""``trainer = "openrlhf"``: prepare a run, start it, and follow it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainers.base import Progress, TrainResult
from trainers.checkpoint import CheckpointStore
from trainers.config import TrainConfig
from trainers.errors import CheckpointError
from trainers.hosted.launch import follow, same_run, write_script
from trainers.openrlhf.flags import checked, command_line
from trainers.openrlhf.installed import require
from trainers.openrlhf.run import Run
from trainers.runs import CHECKPOINTS
from trainers.tracking import LOG, JsonLines, alone_in

_START = """\
#!/usr/bin/env bash
# Starts the run that `vt train` prepared in {out}, which all machines must see.
# First, on the head:                     ray start --head
# and on each of the other machines:      ray start --address=HEAD:6379
# (in the same environment, from anywhere); then, on the head, this script.
set -euo pipefail
cd {cwd}
exec {python} -m trainers.openrlhf.main {folder}
# which is, with our driver in the place of its trainer:
# python -m openrlhf.cli.train_ppo_ray {flags}
"""


class OpenRLHFTrainer:
    """Trains through OpenRLHF; see :class:`trainers.base.Trainer`.

    Raises:
        MissingExtra: If OpenRLHF is not installed.
        ConfigError: If another release of it is.
    """

    def __init__(self) -> None:
        require()

    def prepare(self, config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
        """Write all that a run needs, and start nothing.

        Returns:
            A script that starts it, on one machine or on the head of a cluster.

        Raises:
            ConfigError: On settings that it cannot honour, or that contradict each other or
                ``out``.
            DataError: If the data cannot be used.
        """
        checked(config)
        from trainers.hosted.export import export

        same_run(Run, config, out, resume)
        run = export(Run(out.resolve(), Path.cwd(), config))
        text = _START.format(
            out=run.out,
            cwd=shlex.quote(str(run.cwd)),
            python=shlex.quote(sys.executable),
            folder=shlex.quote(str(run.folder)),
            flags=shlex.join(command_line(run)),
        )
        return write_script(run, text)

    def train(
        self,
        config: TrainConfig,
        out: Path,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> TrainResult:
        """Train; see :meth:`trainers.base.Trainer.train`."""
        with alone_in(out):
            script = self.prepare(config, out, resume=resume)
            run = Run.read(script.parent)
            if run.saved_steps() < config.steps:
                _follow(run, script, progress)
            shutil.rmtree(run.folder / "last", ignore_errors=True)  # the checkpoint holds the same
            return _result(run)


def _follow(run: Run, script: Path, progress: Progress | None) -> None:
    """Start the run, tell of its steps, and wait; see :func:`trainers.hosted.launch.follow`."""
    metrics = JsonLines(run.out / LOG)
    told = run.saved_steps()

    def look() -> None:
        nonlocal told
        told = _tell(metrics, told, progress)

    follow(run, script, "OpenRLHF", look)


def _tell(metrics: JsonLines, told: int, progress: Progress | None) -> int:
    """Tell of the steps that were not told of yet; the last step told."""
    for row in metrics.rows():
        if row["step"] > told:
            told = row.pop("step")
            if progress:
                progress(told, row)
    return told


def _result(run: Run) -> TrainResult:
    store = CheckpointStore(run.out / CHECKPOINTS, run.config.checkpoint.keep)
    newest, best = store.newest(), store.best()
    if newest is None:
        raise CheckpointError(f"{store.folder} has no checkpoint")
    rows: list[Mapping[str, Any]] = list(JsonLines(run.out / LOG).rows())
    measured = [row for row in rows if "eval/n" in row]
    last = measured[-1] if measured else {}
    return TrainResult(
        steps=newest.step,
        checkpoint=newest.folder / "model",
        log=run.out / LOG,
        best=best.folder / "model" if best else None,
        evaluation={name: value for name, value in last.items() if name.startswith("eval/")},
        fingerprints=run.fingerprints,
    )
