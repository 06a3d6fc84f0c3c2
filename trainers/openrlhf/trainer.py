"""``trainer = "openrlhf"``: prepare a run, start it, and follow it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainers.base import Progress, TrainResult
from trainers.checkpoint import CheckpointStore
from trainers.config import TrainConfig
from trainers.errors import CheckpointError, TrainingError
from trainers.openrlhf.flags import checked, command_line
from trainers.openrlhf.installed import require
from trainers.openrlhf.run import FOLDER, Run
from trainers.runs import CHECKPOINTS, same_recipe
from trainers.tracking import LOG, JsonLines, alone_in
from vt_env.errors import ConfigError

_LOOK_EVERY = 0.5
_ERROR = re.compile(r"^(?:\S*\.)?\w*(?:Error|Exception|Interrupt)\b.*")
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

        _same_run(config, out, resume)
        run = export(Run(out.resolve(), Path.cwd(), config))
        script = run.folder / "start.sh"
        text = _START.format(
            out=run.out,
            cwd=shlex.quote(str(run.cwd)),
            python=shlex.quote(sys.executable),
            folder=shlex.quote(str(run.folder)),
            flags=shlex.join(command_line(run)),
        )
        script.write_text(text, "utf-8")
        script.chmod(0o755)
        return script

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


def _same_run(config: TrainConfig, out: Path, resume: bool) -> None:
    """Refuse to train on top of another run."""
    begun = CheckpointStore(out / CHECKPOINTS).newest()
    if begun and not resume:
        raise ConfigError(f"{out} holds a run already; resume it, or choose another folder")
    if begun:
        before = Run.read(out / FOLDER).config
        same_recipe(json.loads(json.dumps(asdict(before))), config)
    else:
        shutil.rmtree(out / FOLDER, ignore_errors=True)  # of a run that never came so far


def _follow(run: Run, script: Path, progress: Progress | None) -> None:
    """Start the run, tell of its steps, and wait.

    Raises:
        TrainingError: If it fails, with its last error and where the rest is.
    """
    metrics = JsonLines(run.out / LOG)
    told = run.saved_steps()
    log = run.folder / "log.txt"
    with log.open("ab") as stream:
        process = subprocess.Popen([script], stdout=stream, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(_LOOK_EVERY)
                told = _tell(metrics, told, progress)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    _tell(metrics, told, progress)
    if process.returncode:
        saved = run.saved_steps()
        left = f"resume goes on from step {saved}" if saved else "nothing was saved yet"
        raise TrainingError(
            f"OpenRLHF stopped with exit code {process.returncode}: {_last_error(log)}; {left}. "
            f"All that it printed is in {log}"
        )


def _tell(metrics: JsonLines, told: int, progress: Progress | None) -> int:
    """Tell of the steps that were not told of yet; the last step told."""
    for row in metrics.rows():
        if row["step"] > told:
            told = row.pop("step")
            if progress:
                progress(told, row)
    return told


def _last_error(log: Path) -> str:
    """The last line that looks like an error, without Ray's prefix."""
    lines = log.read_text("utf-8", "replace").splitlines()
    plain = (re.sub(r"^(\x1b\[\d+m)?\(.*?\)(\x1b\[\d+m)?\s*", "", line).strip() for line in lines)
    found = [line for line in plain if _ERROR.match(line)]
    return found[-1][:500] if found else "no error was printed"


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
