"""One question about one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vt_env.errors import DataError

PictureLike = Path | bytes | NDArray[np.uint8]
"""Where a picture's pixels come from: a file, an encoded file in memory, or uint8 [H, W, 3]."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One question about one picture, with the answers that are accepted.

    Attributes:
        id: Unique within its source.
        question: The question in plain text.
        references: One or more accepted answers; the first is canonical.
        image: The original picture, not yet decoded.
        source: Where it came from (a benchmark, a data set), for tables.
        kind: What sort of question it is, for tables. Policies never see it.
        answer_type: See :class:`vt_env.judges.Query`; ``""`` when it is not known.
        choices: Option texts of a multiple-choice question in the order of their letters.
        metadata: Whatever else the source knows of the row; JSON-serialisable.

    Raises:
        DataError: On an empty id, question or references.
    """

    id: str
    question: str
    references: tuple[str, ...]
    image: PictureLike
    source: str = ""
    kind: str = ""
    answer_type: str = ""
    choices: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not self.id:
            raise DataError("a sample needs an id, got an empty one")
        if not self.question.strip():
            raise DataError(f"sample {self.id!r} has an empty question")
        if not self.references or not all(r.strip() for r in self.references):
            raise DataError(
                f"sample {self.id!r} needs at least one reference and none of them empty, "
                f"got {self.references!r}"
            )
