"""What the rollouts of a training step came to, which verl's own log has no numbers for.

    OUT/verl/played/000003-ENGINE.json    of step 3 and one process: sums, by the log's names

Every process that plays writes its own files, whole or not at all; the log adds them up.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from trainers.errors import Damaged
from trainers.files import read_sealed, write_sealed
from trainers.metrics import Numbers

logger = logging.getLogger(__name__)

FOLDER = "played"
_COUNTED = ("env/unscored", "rollout/failed")
"""Numbers that the log has as counts; the others are means over rollouts."""


class Played:
    """Adds up what one process plays.

    Args:
        run: The run's folder, ``OUT/verl``.
        engine: The process's own name.
        group_size: Rollouts of a group, all of which one process plays; it writes once for each.
    """

    def __init__(self, run: Path, engine: str, group_size: int) -> None:
        self.folder = run / FOLDER
        self.engine = engine
        self.group_size = group_size
        self._sums: dict[int, Counter[str]] = {}

    def note(self, step: int, facts: Mapping[str, float]) -> None:
        """Take note of a rollout: of which step, and what the log tells of it."""
        sums = self._sums.setdefault(step, Counter())
        sums.update({"n": 1, **facts})
        if sums["n"] % self.group_size == 0:
            self.folder.mkdir(exist_ok=True)
            write_sealed(self.folder / f"{step:06d}-{self.engine}.json", sums)


def told(run: Path, step: int) -> Numbers:
    """A step's numbers, of all processes; a file that is damaged is told and not counted."""
    sums: Counter[str] = Counter()
    for file in sorted((run / FOLDER).glob(f"{step:06d}-*.json")):
        try:
            sums.update(read_sealed(file))
        except Damaged as error:
            logger.warning("%s; step %d is told without it", error, step)
    rollouts = sums.pop("n", 0)
    return {k: v if k in _COUNTED else v / rollouts for k, v in sums.items()}


def forget_after(run: Path, step: int) -> None:
    """Delete what was noted of later steps, which will be played again."""
    for file in (run / FOLDER).glob("*.json"):
        if int(file.name.partition("-")[0]) > step:
            file.unlink()
