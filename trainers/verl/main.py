"""``python -m trainers.verl.main OUT/verl SETTING…``: run what ``vt train`` prepared there.

It takes the lock of the results' folder and becomes verl's own command, which so holds it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from trainers.hosted.nodes import origins_of_running
from trainers.hosted.trainer import keep_out, record, run_main
from trainers.verl.run import VerlRun


def main(folder: Path, settings: Sequence[str]) -> None:
    """Hand over to verl's command.

    Raises:
        Busy: If another process is at work on the run.
        CheckpointError: If the disk has no room for its checkpoints.
    """
    run = VerlRun.read(folder.resolve())
    keep_out(run)
    run.check_room()
    run.begin()
    record(run, origins_of_running())
    os.execv(sys.executable, [sys.executable, "-m", "verl.trainer.main_ppo", *settings])


if __name__ == "__main__":
    run_main(main, Path(sys.argv[1]), sys.argv[2:])
