"""Sources that draw their samples from a seed, with nothing to download."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from vt_env.errors import ConfigError, unknown_name
from vt_env.kept import Digests
from vt_env.samples import Sample
from vt_env.sources.admission import Admission, AdmissionOptions
from vt_env.sources.base import Source, is_count

SPLITS = ("train", "validation", "test")
MOST = 1_000_000
"""Samples of a source at most: their ids are held in memory."""
KEPT = 256 * 2**20
"""Bytes of pictures that a source keeps at most."""


def stream(seed: int, *key: int) -> np.random.Generator:
    """A random stream of a seed; other keys give others."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


class SeededSource(Source):
    """Samples drawn from a seed.

    Sample ``i`` depends on the seed, the split, ``i`` and the source's settings, but not on ``n``.
    Splits are separate random streams. Of ``validation`` and ``test``, which are played again and
    again, the pictures asked for first are kept, up to :data:`KEPT` bytes; all others are drawn
    again.

    Args:
        name: What the source is called, without its split.
        n: Number of samples, at most :data:`MOST`.
        seed: From 0 to 2⁶³ - 1.
        split: One of :data:`SPLITS`.
        options: As every source has them. Nothing here is ever refused, so only ``limit`` has an
            effect: it is one more bound on ``n``.

    Raises:
        ConfigError: On a value out of range or a wrong name.
    """

    def __init__(self, name: str, n: int, seed: int, split: str, options: AdmissionOptions) -> None:
        if split not in SPLITS:
            raise unknown_name("split", split, SPLITS)
        for key, value, least, most in (("n", n, 1, MOST), ("seed", seed, 0, 2**63 - 1)):
            if not is_count(value, least, most):
                raise ConfigError(
                    f"{key} must be an integer from {least} to {most}, got {value!r:.80}"
                )
        limit = Admission(**options).limit
        self.n = n if limit is None else min(n, limit)
        self.seed = seed
        self.split = split
        self.name = f"{name}-{split}"
        self._kept = dict[int, Sample]()
        self._room = 0 if split == "train" else KEPT

    @abstractmethod
    def _draw(self, index: int) -> Sample:
        """The sample at ``0 <= index < len(self)``, its picture as pixels."""

    def _sample(self, index: int) -> Sample:
        sample = self._kept.get(index)
        if sample is None:
            sample = self._draw(index)
            pixels = np.asarray(sample.image)
            if pixels.nbytes <= self._room:
                pixels.setflags(write=False)
                self._room -= pixels.nbytes
                self._kept[index] = sample
        return sample

    def __getstate__(self) -> dict[str, Any]:
        """Without pictures: another process draws its own."""
        room = self._room + sum(np.asarray(sample.image).nbytes for sample in self._kept.values())
        return {**self.__dict__, "_kept": {}, "_room": room}

    @abstractmethod
    def _settings(self) -> Sequence[Any]:
        """All further settings, as JSON has them."""

    def __len__(self) -> int:
        return self.n

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return [self._id(index) for index in range(self.n)]

    def _id(self, index: int) -> str:
        return f"{self.split}-{self.seed}-{index:06d}"

    def fingerprint(self) -> str:
        """SHA-256 over all settings and the pixels of the first 16 samples.

        The pixels make it change if the drawing, the fonts or NumPy's random streams ever do.
        """
        settings = [self.n, self.seed, self.split, *self._settings()]
        digest, pictures = hashlib.sha256(json.dumps(settings).encode()), Digests()
        for index in range(min(self.n, 16)):
            digest.update(pictures.of(self._sample(index).image))
        return digest.hexdigest()
