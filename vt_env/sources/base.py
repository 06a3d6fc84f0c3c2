"""What a source is: a sequence of samples that can be asked for by position or by id."""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from vt_env.errors import DataError
from vt_env.kept import Digests
from vt_env.progress import told
from vt_env.samples import Sample

logger = logging.getLogger(__name__)


def is_number(value: object, least: float, most: float) -> bool:
    """Whether a setting is a number in a range; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def is_count(value: object, least: int, most: float = math.inf) -> bool:
    """Whether a setting is a whole number in a range."""
    return isinstance(value, int) and is_number(value, least, most)


REASON_LIMIT = 400
"""Characters of a reason, which may repeat what somebody's data hold."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What there is to say about a row.

    Attributes:
        row: The row's id (its own, or the one it would have got), or where it could not be read so
            far its number: the line in a text file, the position from 0 in a list or a Hugging
            Face data set.
        reason: What, in a sentence of at most :data:`REASON_LIMIT` characters; more is cut.
    """

    row: str | int
    reason: str

    def __post_init__(self) -> None:
        if len(self.reason) > REASON_LIMIT:
            object.__setattr__(self, "reason", f"{self.reason[: REASON_LIMIT - 1]}…")

    def __str__(self) -> str:
        where = f"row {self.row}" if isinstance(self.row, int) else self.row
        return f"{where}: {self.reason}"


class Refusal(Remark):
    """A row that a source does not serve, and why."""

    __slots__ = ()


class Source(ABC):
    """A sequence of samples.

    Indices count what is served, ``0 <= i < len(source)``, negative ones from the end. A row that
    is refused is counted and leaves no gap; no other row is ever served in its place.

    Attributes:
        name: For tables and provenance.
        refused: Rows that are not served, in the order of the data; where there are very many, the
            first of them.
        n_refused: How many rows are not served.
        partly_shown: Rows that are served though not all of their picture can be shown, such as the
            further pages of a TIFF or frames of an animation; where there are very many, the first.
        n_partly_shown: How many such rows there are, as far as pictures were looked at.
        tokens: The family of :mod:`vt_env.tokens` whose visual tokens are counted by default, where
            the pictures were made for one; else ``None``.
        commit: That the data has on the Hugging Face Hub, where it was loaded from there.
    """

    name: str
    refused: Sequence[Refusal] = ()
    n_refused: int = 0
    partly_shown: Sequence[Remark] = ()
    n_partly_shown: int = 0
    tokens: str | None = None
    commit: str | None = None

    @abstractmethod
    def ids(self) -> Sequence[str]:
        """The ids of all samples in order; no picture is read."""

    @abstractmethod
    def _sample(self, index: int) -> Sample:
        """The sample at ``0 <= index < len(self)``."""

    def __len__(self) -> int:
        return len(self.ids())

    def __getitem__(self, index: int) -> Sample:
        """The sample at a position.

        Raises:
            IndexError: If there is none.
        """
        position = operator.index(index)
        size = len(self)
        if not -size <= position < size:
            raise IndexError(f"source {self.name!r} has {size} samples, asked for number {index}")
        return self._sample(position % size)

    def __iter__(self) -> Iterator[Sample]:
        for index in range(len(self)):
            yield self._sample(index)

    def __repr__(self) -> str:
        refused = f", {self.n_refused} refused" if self.n_refused else ""
        partly = f", {self.n_partly_shown} shown in part" if self.n_partly_shown else ""
        return f"<{type(self).__name__} {self.name!r}: {len(self)} samples{refused}{partly}>"

    def by_id(self, sample_id: str) -> Sample:
        """The sample with an id.

        Raises:
            DataError: If there is none; the message has the closest id, or the reason for which
                the row was refused.
        """
        index = self._positions.get(sample_id)
        if index is None:
            raise DataError(self._no_such(sample_id))
        return self._sample(index)

    def fingerprint(self) -> str:
        """SHA-256 (64 hexadecimal digits) over every served sample, pictures included.

        It does not depend on where the files are. Pictures are read undecoded, and files that have
        not changed since are not read again, see :class:`vt_env.kept.Digests`.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        return self._hashed(Digests())

    def _hashed(self, pictures: Digests) -> str:
        """The fingerprint, from every sample."""
        digest = hashlib.sha256()
        try:
            for sample in told(self, len(self), f"samples of {self.name} are hashed", logger):
                digest.update(text_of(sample).encode())
                for image in sample.images:
                    digest.update(pictures.of(image))
        finally:  # an interrupted start has read some of them
            pictures.write()
        return digest.hexdigest()

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {sample_id: index for index, sample_id in enumerate(self.ids())}

    def _no_such(self, sample_id: str) -> str:
        for refusal in self.refused:
            if refusal.row == sample_id:
                return f"source {self.name!r} refused sample {sample_id!r}: {refusal.reason}"
        close = difflib.get_close_matches(str(sample_id), self.ids()[:20_000], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"source {self.name!r} has no sample {sample_id!r} among its {len(self)}{hint}"


def text_of(sample: Sample) -> str:
    """All that a sample says but its pixels, in one canonical line."""
    fields = (
        sample.id,
        sample.question,
        sample.references,
        sample.source,
        sample.kind,
        sample.answer_type,
        sample.choices,
        dict(sample.metadata),
    )
    return json.dumps(fields, sort_keys=True, default=str)
