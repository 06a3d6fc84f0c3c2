"""What a run begins with: the task of a recipe, the order of its samples, a hash of its model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.config import EnvironmentConfig
from vt_env import Task, make_task
from vt_env.sources import Source

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json", ".gguf", ".h5", ".msgpack")
"""How files of weights end."""


class SampleOrder:
    """All samples of a source, shuffled anew in every epoch.

    A position is all the state there is: the number of samples given out so far.

    Args:
        ids: The source's samples.
        seed: Of the shuffling.
    """

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self.ids = ids
        self.seed = seed
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.ids))

    def take(self, position: int, count: int, taken: Sequence[str] = ()) -> tuple[list[str], int]:
        """The next samples, none twice and none that is taken already.

        Args:
            position: Samples given out so far.
            count: How many.
            taken: What the step has already.

        Returns:
            Their ids, and the position after them.
        """
        chosen: list[str] = []
        while len(chosen) < count:
            epoch, place = divmod(position, len(self.ids))
            sample_id = self.ids[int(self._epoch(epoch)[place])]
            position += 1
            if sample_id not in chosen and sample_id not in taken:
                chosen.append(sample_id)
        return chosen, position


def task_of(data: str | Source, rules: EnvironmentConfig) -> Task:
    """The task that a recipe describes."""
    return make_task(
        data,
        protocol=rules.protocol,
        judge=rules.judge,
        tokens=rules.tokens,
        prompt=rules.prompt,
        factor=rules.factor,
        max_turns=rules.max_turns,
        first_look=rules.first_look,
    )


def fingerprint(path: str) -> str:
    """What a run begins with: SHA-256 over the weights in a folder, or the Hub's name.

    A resumed run needs the first model again, as the reference or under its adapters.
    """
    folder = Path(path)
    if not folder.is_dir():
        return path
    digest = hashlib.sha256()
    for weights in sorted(p for p in folder.iterdir() if p.name.endswith(WEIGHTS)):
        with weights.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
