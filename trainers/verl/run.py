"""``trainer = "verl"``: what verl wants and leaves.

In ``OUT/verl`` there is more than :mod:`trainers.hosted.run` lists::

    steps-000000.jsonl  verl's log of each step; after a resume from step 6, steps-000006.jsonl
    checkpoints/        what verl saves
    stopped.json        the error that stops it, where verl itself would go on
    played/             what the rollouts of each step came to, see :mod:`trainers.verl.played`
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trainers.errors import CheckpointError, Damaged
from trainers.files import read_sealed, write_sealed
from trainers.hosted.run import HostedRun
from trainers.hosted.trainer import HostedTrainer
from trainers.metrics import Numbers, before_training
from trainers.tracking import JsonLines
from trainers.verl.flags import checked, command_line
from trainers.verl.played import forget_after, told

_START = """\
export VERL_FILE_LOGGER_PATH={log}
exec {python} -m trainers.verl.main {folder} \\
    {settings}
# which holds the lock of the results' folder, and is: {python} -m verl.trainer.main_ppo"""

_STOPPED = "stopped.json"

LOG_NAMES = {
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
"""The log's names of verl's numbers; all of them are in verl's own file."""


@dataclass(frozen=True)
class VerlRun(HostedRun):
    """One run, as all its processes see it; see :class:`trainers.hosted.run.HostedRun`."""

    NAME: ClassVar[str] = "verl"
    LIBRARY: ClassVar[str] = "verl"
    algorithm = staticmethod(checked)

    def start(self) -> str:
        """verl's own command."""
        return _START.format(
            log=shlex.quote(str(self.step_log)),
            python=shlex.quote(sys.executable),
            folder=shlex.quote(str(self.folder)),
            settings=" \\\n    ".join(map(shlex.quote, command_line(self))),
        )

    @property
    def players(self) -> int:
        """The workers of verl's agent loop."""
        return self.config.verl.workers

    @property
    def checkpoints(self) -> Path:
        """Where verl saves."""
        return self.folder / "checkpoints"

    @property
    def step_log(self) -> Path:
        """Where verl logs the steps after those that it saved; it begins the file anew."""
        return self.folder / f"steps-{self.saved_steps():06d}.jsonl"

    def saved_steps(self) -> int:
        """Steps done when verl saved last; 0 if it never did."""
        latest = self.checkpoints / "latest_checkpointed_iteration.txt"
        if not latest.is_file():
            return 0
        step = latest.read_text("utf-8", "replace").strip()
        if not (step.isdecimal() and self._saved(int(step)).is_dir()):
            raise CheckpointError(
                f"{latest} names step {step!r}, of which there is no folder. Put it back, or write "
                "the step of one that is whole into that file, then resume"
            )
        return int(step)

    def model_of(self, step: int) -> Path:
        """Where verl leaves the model of a step that it saved."""
        return self._saved(step) / "actor" / "huggingface"

    def saved_states(self) -> list[tuple[int, Path]]:
        """Folders of states that are there, whole or not, each with its step."""
        found = [p for p in self.checkpoints.glob("global_step_*") if not p.is_symlink()]
        steps = ((p.name.removeprefix("global_step_"), p) for p in found if p.is_dir())
        return [(int(step), p) for step, p in steps if step.isdecimal()]

    def stop(self, error: BaseException) -> None:
        """Have the process that leads the run stop it, for the first error that is told here.

        verl itself goes on without a rollout whose loop raised, and learns from the others.
        """
        if not self.why_stopped():
            record = {"error": f"{type(error).__name__}: {error}"}
            write_sealed(self.folder / _STOPPED, record)

    def why_stopped(self) -> str:
        """What :meth:`stop` was told; empty if it was not."""
        return why_stopped(self.folder)

    def begin(self) -> None:
        """Forget what an earlier attempt told of itself and of steps that are played again."""
        (self.folder / _STOPPED).unlink(missing_ok=True)
        forget_after(self.folder, self.saved_steps())

    def collect(self, log: JsonLines) -> None:
        """Add verl's new steps to the log, under its names."""
        known = log.last_step()
        before: Numbers = {}
        for step, data in self.logged_steps(after=known or -1):
            row = log_row(data)
            if step == 0:
                before = before_training(row)
                continue
            log.append({"step": step, **row, **told(self.folder, step), **before})
            before = {}

    def logged_steps(self, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Steps and verl's log of them, those that a resume played again left out.

        Args:
            after: Steps that are known already.

        Raises:
            Damaged: If a line that verl has ended is none of its.
        """
        files = sorted(self.folder.glob("steps-*.jsonl"))
        ends = [int(file.stem.removeprefix("steps-")) for file in files[1:]]
        for file, end in zip(files, [*ends, math.inf], strict=False):  # there may be no file yet
            lines = file.read_bytes().split(b"\n")[:-1]  # the last may be half written
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    step, data = row["step"], row["data"]
                except (ValueError, LookupError, TypeError) as error:
                    raise Damaged(f"{file}, line {number}: it is no step of verl's log") from error
                if after < step <= end:
                    yield step, data

    def _saved(self, step: int) -> Path:
        return self.checkpoints / f"global_step_{step}"


def why_stopped(folder: Path) -> str:
    """Why the run of a folder is to stop; empty if it is not to."""
    try:
        return read_sealed(folder / _STOPPED)["error"]
    except FileNotFoundError:
        return ""


def log_row(data: Mapping[str, Any]) -> dict[str, float | None]:
    """verl's log of a step, under the names of ours."""
    row = {new: data[old] for old, new in LOG_NAMES.items() if old in data}
    if full := row.get("eval/full_tokens"):
        row["eval/token_ratio"] = row["eval/visual_tokens"] / full
    return row


def make_trainer() -> HostedTrainer:
    """verl trains, on the machines of a Ray cluster."""
    return HostedTrainer(VerlRun)
