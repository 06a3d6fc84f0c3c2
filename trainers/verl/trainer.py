"""``trainer = "verl"``: prepare a run, start it, and follow it."""

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
from trainers.runs import CHECKPOINTS, score
from trainers.tracking import LOG, JsonLines, alone_in
from trainers.verl.flags import checked, command_line
from trainers.verl.installed import require
from trainers.verl.run import Run

_START = """\
#!/usr/bin/env bash
# Starts the run that `vt train` prepared in {out}, which all machines must see.
# First, on the head:                     ray start --head
# and on each of the other machines:      ray start --address=HEAD:6379
# (in the same environment, from {cwd}); then, on the head, this script.
set -euo pipefail
cd {cwd}
export VERL_FILE_LOGGER_PATH={log}
exec {python} -m verl.trainer.main_ppo \\
    {settings}
"""

_TOLD_AS = {
    "critic/score/mean": "reward/mean",
    "actor/pg_loss": "train/policy_loss",
    "actor/entropy": "train/entropy",
    "actor/kl_loss": "train/kl",
    "actor/ppo_kl": "train/old_kl",
    "actor/pg_clipfrac": "train/clip_fraction",
    "actor/grad_norm": "train/grad_norm",
    "actor/lr": "train/learning_rate",
    "rollout_corr/kl": "train/engine_kl",
    "timing_s/gen": "time/rollout",
    "timing_s/update_actor": "time/learn",
    "timing_s/update_weights": "time/sync",
    "timing_s/testing": "time/evaluation",
    "timing_s/step": "time/step",
    "val-core/validation/reward/mean@1": "eval/reward",
    "val-aux/validation/accuracy/mean@1": "eval/accuracy",
    "val-aux/validation/rollout/request_rate/mean@1": "eval/request_rate",
    "val-aux/validation/env/well_formed/mean@1": "eval/well_formed",
    "val-aux/validation/env/visual_tokens/mean@1": "eval/visual_tokens",
    "val-aux/validation/env/full_tokens/mean@1": "eval/full_tokens",
    "val-aux/validation/env/unscored/mean@1": "eval/unscored",
}
"""The log's names of what verl tells; all of it is in its own file."""


class VerlTrainer:
    """Trains through verl; see :class:`trainers.base.Trainer`.

    Raises:
        MissingExtra: If verl is not installed.
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
            log=shlex.quote(str(run.told)),
            python=shlex.quote(sys.executable),
            settings=" \\\n    ".join(map(shlex.quote, command_line(run))),
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
        """Train; see :meth:`trainers.base.Trainer.train`.

        The log has what verl tells under the log's names. verl keeps its own checkpoints, from
        which a resume goes on; the last one's model becomes one as every trainer writes it.
        """
        with alone_in(out):
            script = self.prepare(config, out, resume=resume)
            run = Run.read(script.parent)
            if run.saved_steps() < config.steps:
                _follow(run, script, progress)
            return _result(run)


def _follow(run: Run, script: Path, progress: Progress | None) -> None:
    """Start the run, tell of its steps, and wait."""
    log = JsonLines(run.out / LOG)
    known = log.keep_until(run.saved_steps())

    def look() -> None:
        nonlocal known
        for step, data in run.steps_told(after=known):
            row = _row(data)
            log.append({"step": step, **row})
            known = step
            if progress:
                progress(step, row)

    follow(run, script, "verl", look)


def _row(data: Mapping[str, Any]) -> dict[str, float | None]:
    """What verl told of a step, under the log's names."""
    row = {new: data[old] for old, new in _TOLD_AS.items() if old in data}
    if full := row.get("eval/full_tokens"):
        row["eval/token_ratio"] = row["eval/visual_tokens"] / full
    return row


def _result(run: Run) -> TrainResult:
    """The last model as a checkpoint, and what was measured last."""
    steps = run.saved_steps()
    model = run.checkpoints / f"global_step_{steps}" / "actor" / "huggingface"
    if not model.is_dir():
        raise CheckpointError(f"verl left no model of step {steps}: there is no {model}")
    rows: list[Mapping[str, Any]] = list(JsonLines(run.out / LOG).rows())
    last = next((row for row in reversed(rows) if "eval/accuracy" in row), {})
    evaluation = {name: value for name, value in last.items() if name.startswith("eval/")}
    store = CheckpointStore(run.out / CHECKPOINTS, run.config.checkpoint.keep)
    newest = store.newest()
    if newest is None or newest.step < steps:
        found = score(evaluation, run.config) if last.get("step") == steps else None
        newest = store.save(steps, lambda folder: _copy(model, folder / "model"), found)
    best = store.best()
    return TrainResult(
        steps=steps,
        checkpoint=newest.folder / "model",
        log=run.out / LOG,
        best=best.folder / "model" if best else None,
        evaluation=evaluation,
        fingerprints=run.fingerprints,
    )


def _copy(model: Path, to: Path) -> None:
    shutil.copytree(model, to)
