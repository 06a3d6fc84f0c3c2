"""A run of OpenRLHF, in whose folder there is more than :mod:`trainers.hosted.run` lists.

OUT/openrlhf/
agent.py          what OpenRLHF loads in every engine
state/            optimiser and weights for a resume
last/             what OpenRLHF saves at the very end
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from trainers.hosted.run import Run as HostedRun

FOLDER = "openrlhf"

_AGENT = '''\
"""Loaded by OpenRLHF in every engine; see trainers.openrlhf.executor."""

from pathlib import Path

from trainers.openrlhf.executor import executor_for

AgentExecutor = executor_for(Path(__file__).parent)
'''


@dataclass(frozen=True)
class Run(HostedRun):
    """One run, as all its processes see it; see :class:`trainers.hosted.run.Run`."""

    NAME: ClassVar[str] = FOLDER

    def saved_steps(self) -> int:
        """Steps done when OpenRLHF saved its state last; 0 if it never did."""
        latest = self.folder / "state" / "_actor" / "latest"
        if not latest.is_file():
            return 0
        return int(latest.read_text("utf-8").strip().rpartition("global_step")[2])

    def write(self) -> None:
        """Write ``run.json`` and ``agent.py``."""
        super().write()
        (self.folder / "agent.py").write_text(_AGENT, "utf-8")
