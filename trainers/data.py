"""What a run begins with, found out before it starts.

The task of a recipe, the order of its samples, and hashes of its model and data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainers.config import EnvironmentConfig, TrainConfig
from vt_env import DataError, PictureRules, Task, make_task
from vt_env.kept import Digests
from vt_env.sources import Source

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json", ".gguf", ".h5", ".msgpack")
"""How files of weights end."""
_SINGLE = ("model.safetensors", "pytorch_model.bin")
_INDICES = tuple(f"{name}.index.json" for name in _SINGLE)
"""Weights in one file, and the list of those in several, as transformers finds them."""


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

        Raises:
            DataError: If there are not so many.
        """
        gone = len(set(taken))
        if count > len(self.ids) - gone:
            raise DataError(
                f"too few samples: {count} more are needed, and of {len(self.ids)} there are "
                f"{gone} taken already or refused for their pictures; lower rollout.prompts, or "
                "give more data"
            )
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
        max_pictures=rules.max_pictures,
        max_visual_tokens=rules.max_visual_tokens,
        over_budget=rules.over_budget,
        rules=PictureRules.shrinking(rules.max_pixels),
    )


def fingerprints(config: TrainConfig, train: Task, validation: Task | None) -> dict[str, str]:
    """What a run begins with, as :class:`trainers.base.TrainResult` has it.

    Args:
        config: The recipe.
        train: The task that is trained on.
        validation: The task that is measured on, if there is one.
    """
    made = {"model": fingerprint(config.model.path), "train": train.source.fingerprint()}
    if validation is not None:
        made["validation"] = validation.source.fingerprint()
    return made


def commits(config: TrainConfig, train: Task, validation: Task | None) -> dict[str, str]:
    """What the names on the Hub resolved to, by their names in the recipe, as far as it is known.

    Args:
        config: The recipe.
        train: The task that is trained on.
        validation: The task that is measured on, if there is one.
    """
    found = {
        "model": None if Path(config.model.path).is_dir() else _commit(config.model.path),
        "train": train.source.commit,
        "validation": validation and validation.source.commit,
    }
    return {name: commit for name, commit in found.items() if commit}


def fingerprint(path: str) -> str:
    """What a run begins with: SHA-256 over the weights in a folder, or the Hub's name and commit.

    A resumed run needs the first model again, as the reference or under its adapters. The commit
    of a model on the Hub is known once it was loaded.
    """
    folder = Path(path)
    if not folder.is_dir():
        commit = _commit(path)
        return f"{path}@{commit}" if commit else path
    digest, files = hashlib.sha256(), Digests()
    for weights in sorted(p for p in folder.iterdir() if p.name.endswith(WEIGHTS)):
        digest.update(files.of(weights))
    files.write()
    return digest.hexdigest()


def lacking_weights(model: str) -> str:
    """A file of weights that a checkpoint lacks on this machine; empty: it is whole.

    Args:
        model: A folder, or a name on the Hub, of which the copy in its cache is looked at.
    """
    for index in _INDICES:
        if found := _file_of(model, index):
            files = sorted(set(json.loads(found.read_text("utf-8"))["weight_map"].values()))
            return next((name for name in files if not _file_of(model, name)), "")
    return "" if any(_file_of(model, name) for name in _SINGLE) else _SINGLE[0]


def _file_of(model: str, name: str) -> Path | None:
    """A file of a checkpoint, if it is on this machine."""
    if (folder := Path(model)).is_dir():
        return folder / name if (folder / name).is_file() else None
    return _cached(model, name)


def _cached(model: str, name: str) -> Path | None:
    """A file of a model in the cache of the Hub."""
    from huggingface_hub import try_to_load_from_cache  # comes with transformers
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, name)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _commit(name: str) -> str | None:
    """The commit of a model in the cache of the Hub."""
    found = _cached(name, "config.json")
    return found.parent.name if found else None
