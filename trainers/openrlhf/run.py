"""``trainer = "openrlhf"``: what OpenRLHF wants and leaves.

In ``OUT/openrlhf`` there is more than :mod:`trainers.hosted.run` lists::

    agent.py                     what OpenRLHF loads in every engine
    state/_actor/global_stepN    optimiser and weights for a resume; ``latest`` names the last
    state/global_stepN_hf        the model of a step, until it is a checkpoint
    state/model.json             the step of the last model that was written whole
    last/                        what OpenRLHF saves at the very end, also where no step is left
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trainers.errors import CheckpointError, Damaged
from trainers.files import read_sealed, size_of, write_sealed
from trainers.hosted.run import HostedRun
from trainers.hosted.trainer import HostedTrainer
from trainers.openrlhf.flags import checked, command_line, engines

_AGENT = '''\
"""Loaded by OpenRLHF in every engine; see trainers.openrlhf.executor."""

from pathlib import Path

from trainers.openrlhf.executor import executor_for

AgentExecutor = executor_for(Path(__file__).parent)
'''
_START = """\
exec {python} -m trainers.openrlhf.main {folder}
# which is, with our driver in the place of its trainer:
# python -m openrlhf.cli.train_ppo_ray {flags}"""
_MODEL = "model.json"
_STEP = re.compile(r"global_step(\d+)(_hf)?")


@dataclass(frozen=True)
class OpenRLHFRun(HostedRun):
    """One run, as all its processes see it; see :class:`trainers.hosted.run.HostedRun`."""

    NAME: ClassVar[str] = "openrlhf"
    LIBRARY: ClassVar[str] = "OpenRLHF"
    SEPARATORS: ClassVar[str] = ",@"
    WRITES_CHECKPOINTS: ClassVar[bool] = True
    algorithm = staticmethod(checked)

    def start(self) -> str:
        """The command, and OpenRLHF's own."""
        return _START.format(
            python=shlex.quote(sys.executable),
            folder=shlex.quote(str(self.folder)),
            flags=shlex.join(command_line(self)),
        )

    @property
    def players(self) -> int:
        """The engines."""
        return engines(self.config.openrlhf)

    @property
    def states(self) -> Path:
        """Where OpenRLHF saves."""
        return self.folder / "state"

    def saved_steps(self) -> int:
        """Steps done when OpenRLHF saved its state last; 0 if it never did."""
        latest = self.states / "_actor" / "latest"
        if not latest.is_file():
            return 0
        name = latest.read_text("utf-8", "replace").strip()
        found = _STEP.fullmatch(name)
        if found is None or not (latest.parent / name).is_dir():
            others = sorted(p.name for p in latest.parent.iterdir() if p.is_dir())
            raise CheckpointError(
                f"{latest} names {name!r}, which is not there; there is "
                f"{', '.join(others) or 'nothing else'}. Put it back, or write the name of one "
                "that is whole into that file, then resume"
            )
        return int(found[1])

    def model_of(self, step: int) -> Path:
        """Where OpenRLHF leaves the model of a step that it saved.

        It does so after it has named that state its latest. If it was killed in between, the state
        is whole and the model is not: the model is what it saves at its end, once more.
        """
        return self.states / f"global_step{step}_hf" if self.has_model(step) else self.last

    def has_model(self, step: int) -> bool:
        """Whether the model of a step is the last that was written whole."""
        try:
            return read_sealed(self.states / _MODEL)["step"] == step
        except (OSError, Damaged):
            return False

    def note_model(self, step: int) -> None:
        """Write down that the model of a step is whole."""
        write_sealed(self.states / _MODEL, {"step": step})

    @property
    def last(self) -> Path:
        """What OpenRLHF saves at its end."""
        return self.folder / "last"

    def state_bytes(self) -> int:
        """Bytes that the next state and its model will take: as the last, or an estimate."""
        step = self.saved_steps()
        last = sum(size_of(p) for p in self._saved() if step and _step(p) == step)
        return last or super().state_bytes()

    def saved_states(self) -> list[tuple[int, Path]]:
        """Folders of states that are there, whole or not, each with its step."""
        return [(_step(p), p) for p in self._saved() if not p.name.endswith("_hf")]

    def prune(self) -> None:
        """Delete all but the newest whole states, and models, which are checkpoints by now."""
        super().prune()
        for folder in self._saved():
            if folder.name.endswith("_hf"):
                shutil.rmtree(folder)

    def write(self) -> None:
        """Write ``run.json`` and ``agent.py``."""
        super().write()
        (self.folder / "agent.py").write_text(_AGENT, "utf-8")

    def _saved(self) -> list[Path]:
        """Folders of states and models."""
        places = (self.states, self.states / "_actor", self.states / "_critic")
        found = [p for place in places for p in place.glob("global_step*") if p.is_dir()]
        return [p for p in found if _STEP.fullmatch(p.name) and not p.is_symlink()]


def _step(folder: Path) -> int:
    return int(folder.name.removesuffix("_hf").removeprefix("global_step"))


def make_trainer() -> HostedTrainer:
    """OpenRLHF trains, on the machines of a Ray cluster."""
    return HostedTrainer(OpenRLHFRun)
