"""Every sample of another source several times, each with an id of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from vt_env.errors import ConfigError
from vt_env.samples import Sample
from vt_env.sources.base import Source, is_count

REPEAT = "repeat"
"""The key of the metadata that says of which sample a copy is: ``of``, an id, and ``number``."""


class RepeatedSource(Source):
    """Samples k times, one after the other; the copies of ``x`` are ``x~0``, ``x~1``, ….

    Since rollouts are seeded by ids, each copy is another draw of the same question.

    Args:
        source: The samples.
        times: k, at least 1.

    Raises:
        ConfigError: If ``times`` is out of range.
    """

    def __init__(self, source: Source, times: int) -> None:
        if not is_count(times, 1, 100_000):
            raise ConfigError(f"repeat must be a whole number from 1 to 100,000, got {times!r:.80}")
        self._inner, self._times = source, times
        self.name = f"{source.name}, {times} times"
        self.tokens, self.commit = source.tokens, source.commit
        self.refused, self.n_refused = source.refused, source.n_refused
        self.partly_shown, self.n_partly_shown = source.partly_shown, source.n_partly_shown
        self._ids = [f"{name}~{number}" for name in source.ids() for number in range(times)]

    def ids(self) -> Sequence[str]:
        """The ids in order."""
        return self._ids

    def _sample(self, index: int) -> Sample:
        at, number = divmod(index, self._times)
        sample = self._inner[at]
        told = {REPEAT: {"of": sample.id, "number": number}}
        return replace(sample, id=self._ids[index], metadata={**sample.metadata, **told})

    def fingerprint(self) -> str:
        """Of the other source and the number."""
        return hashlib.sha256(f"{self._inner.fingerprint()} {self._times}".encode()).hexdigest()
