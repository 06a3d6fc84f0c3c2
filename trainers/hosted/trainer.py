"""The trainer of every library that leads a run itself: prepare it, start it, follow it, end it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from trainers.base import Progress, TrainResult
from trainers.checkpoint import CheckpointStore
from trainers.config import TrainConfig
from trainers.errors import CheckpointError, TrainingError
from trainers.hosted.run import HostedRun
from trainers.installed import require_release
from trainers.locks import inherited, keep
from trainers.provenance import COMMAND, Origin, record_start
from trainers.results import LOCK
from trainers.runs import RunTrainer, result_of, run_folder, same_recipe, score, store_of
from trainers.tracking import LOG, JsonLines
from vt_env.errors import ConfigError, VisionThinkError
from vt_env.packages import require_plain_name

_START = """\
#!/usr/bin/env bash
# Starts the run that `vt train` prepared in {out}, which all machines must see.
# First, on the head:                     ray start --head
# and on each of the other machines:      ray start --address=HEAD:6379
# (in the same environment, from {cwd}); then, on the head, this script.
set -euo pipefail
cd {cwd}
{start}
"""
_LEFT = ("judging", "played", "state", "last", "checkpoints")
"""What an attempt that saved nothing leaves, and the next one must neither count nor load."""


class HostedTrainer(RunTrainer):
    """Trains through a library.

    Raises:
        MissingExtra: If the library is not installed.
        PackageClash: If a folder here has the name of a package of ours.
        ConfigError: If another release of it is installed.
    """

    def __init__(self, kind: type[HostedRun]) -> None:
        require_release(kind.NAME)
        require_plain_name("trainers", f"the trainer {kind.NAME!r}")
        self.kind = kind

    def check(self, config: TrainConfig) -> None:
        """Refuse settings that cannot be honoured; see :func:`trainers.base.check_settings`."""
        self.kind.algorithm(config)

    def prepare(self, config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
        """Write all that a run needs, and start nothing.

        Returns:
            A script that starts it, on one machine or on the head of a cluster.

        Raises:
            ConfigError: On settings that it cannot honour, or that contradict each other or
                ``out``.
            DataError: If the data cannot be used.
            CheckpointError: If the disk has no room for the checkpoints.
        """
        self.check(config)
        with run_folder(out, "resume" if resume else "new"):
            run = self._prepared(config, out)
            run.check_room()
            return write_script(run)

    def run(self, config: TrainConfig, out: Path, progress: Progress | None) -> TrainResult:
        """Prepare, start and follow what the library does, and keep its models."""
        run = self._prepared(config, out)
        store = store_of(config, out)
        last, done = store.newest(), run.saved_steps()
        kept = (last is not None and last.step >= done) or run.has_model(done)
        if done < config.steps or not kept:  # killed while it wrote its last model
            run.check_room()
            watch(run, write_script(run), store, progress)
            store.newest()  # the run may have written checkpoints itself
        log = JsonLines(out / LOG)
        log.keep_until(run.saved_steps())
        run.collect(log)  # the library may have gone on when nobody followed it any more
        rows = {row["step"]: row for row in log.rows()}
        take_checkpoint(run, store, rows)
        shutil.rmtree(run.folder / "last", ignore_errors=True)  # the checkpoint has the same
        measured = [_evaluation(row) for row in rows.values() if "eval/accuracy" in row]
        return result_of(config, store, out, measured[-1] if measured else {}, run.fingerprints)

    def _prepared(self, config: TrainConfig, out: Path) -> HostedRun:
        from trainers.hosted.export import export

        return export(begun(self.kind, config, out))


def begun(kind: type[HostedRun], config: TrainConfig, out: Path) -> HostedRun:
    """The record of a run that begins, or goes on as it was begun.

    Returns:
        The record, with the fingerprints that the run began with, if it did.

    Raises:
        ConfigError: If the run that is there was another recipe's, or the library cannot read a
            folder of that name.
    """
    if cut := set(kind.SEPARATORS) & set(str(out.resolve())):
        raise ConfigError(
            f"{kind.LIBRARY} takes {' and '.join(sorted(cut))} in {out.resolve()} for the end of a "
            "path; choose another --out"
        )
    run = kind(out.resolve(), Path.cwd(), config)
    if not (run.folder / "run.json").is_file():
        return run
    before = kind.read(run.folder)
    if before.saved_steps() == 0 and store_of(config, out).newest() is None:
        for name in _LEFT:
            if (run.folder / name).is_dir() and not (run.folder / name).is_symlink():
                shutil.rmtree(run.folder / name)
        return run
    # the libraries load their optimiser with all its settings from what they saved
    same_recipe(json.loads(json.dumps(asdict(before.config))), config, "optimiser.microbatch")
    return replace(run, fingerprints=before.fingerprints)


def write_script(run: HostedRun) -> Path:
    """The script that starts a run."""
    script = run.folder / "start.sh"
    cwd = shlex.quote(str(run.cwd))
    script.write_text(_START.format(out=run.out, cwd=cwd, start=run.start()), "utf-8")
    script.chmod(0o755)
    return script


def watch(run: HostedRun, script: Path, store: CheckpointStore, progress: Progress | None) -> None:
    """Start a run, tell of its steps, and wait.

    Raises:
        TrainingError: If it fails, with its last error and where the rest is.
    """
    log = JsonLines(run.out / LOG)
    log.keep_until(run.saved_steps())  # later ones are of an attempt that is lost
    rows: dict[int, Mapping[str, Any]] = {}

    def look() -> None:
        run.collect(log)
        for row in log.more():
            step = row.pop("step")
            rows[step] = row
            if progress:
                progress(step, row)
        if not run.WRITES_CHECKPOINTS and run.saved_steps() in rows:
            take_checkpoint(run, store, rows)

    follow(run, script, look)


def take_checkpoint(
    run: HostedRun, store: CheckpointStore, rows: Mapping[int, Mapping[str, Any]]
) -> None:
    """Keep the model that the library saved last as a checkpoint, unless that was done.

    Raises:
        CheckpointError: If the library left no model of its last saved step, or there is no room.
    """
    step = run.saved_steps()
    if step == 0 or (store.last is not None and store.last.step >= step):
        return
    if not run.model_of(step).is_dir():
        raise CheckpointError(
            f"{run.LIBRARY} saved step {step}, and there is no model of it in {run.model_of(step)}"
        )
    found = score(_evaluation(rows.get(step, {})), run.config)
    store.save(step, lambda folder: run.copy_model(step, folder), found)


def _evaluation(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name.startswith("eval/")}


_LOOK_EVERY = 0.5
_PATIENCE = 60
"""Seconds that a process has to end."""
_LAST = 1 << 20
"""Bytes at the end of what was printed in which an error is looked for."""
_ERROR = re.compile(r"^(?:\S*\.)?\w*(?:Error|Exception|Interrupt)\b.*")


def keep_out(run: HostedRun) -> None:
    """Hold the run's lock as long as this process lives: it leads the run, whoever started it.

    Raises:
        Busy: If another process is at work there.
    """
    keep(run.out / LOCK)


def record(run: HostedRun, nodes: Sequence[Origin] = ()) -> None:
    """Write down where this start comes from; called by the process that leads the run."""
    record_start(run.out, run.saved_steps(), run.fingerprints, run.commits, nodes)


def follow(run: HostedRun, script: Path, look: Callable[[], None]) -> None:
    """Start a run, and wait.

    Args:
        run: The run.
        script: What starts it.
        look: Called again and again while it goes on, and once when it is over.

    Raises:
        TrainingError: If it fails, with its last error and where the rest is.
    """
    log = run.folder / "log.txt"
    with log.open("ab") as stream:
        variables, handles = inherited(run.out / LOCK)
        process = subprocess.Popen(
            [script],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables, COMMAND: shlex.join(["vt", *sys.argv[1:]])},
            pass_fds=handles,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(_LOOK_EVERY)
                look()
        finally:
            _end(process)
    look()
    if process.returncode:
        saved = run.saved_steps()
        left = f"resume goes on from step {saved}" if saved else "nothing was saved yet"
        raise TrainingError(
            f"{run.LIBRARY} stopped with exit code {process.returncode}: "
            f"{run.why_stopped() or last_error(log)}; {left}. All that it printed is in {log}"
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it has started; what does not listen is killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)


def run_main(main: Callable[..., None], *arguments: object) -> None:
    """Run what a script starts; what a user did wrong becomes one line, as :func:`follow` reads."""
    try:
        main(*arguments)
    except VisionThinkError as error:
        sys.exit(f"TrainingError: {error}")


def last_error(log: Path) -> str:
    """The last line that looks like an error, without Ray's prefix."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LAST))
        lines = stream.read().decode("utf-8", "replace").splitlines()
    plain = (re.sub(r"^(\x1b\[\d+m)?\(.*?\)(\x1b\[\d+m)?\s*", "", line).strip() for line in lines)
    found = [line for line in plain if _ERROR.match(line)]
    return found[-1][:500] if found else "no error was printed"
