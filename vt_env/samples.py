"""One question about a picture, or about several."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vt_env.errors import DataError
from vt_env.regions import Box

PictureLike = Path | bytes | NDArray[np.uint8]
"""Where a picture's pixels come from: a file, an encoded file in memory, or uint8 [H, W, 3]."""
FORM = "form_of"
"""The key of the metadata that names the question of which a sample is one of several forms."""


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One question about a picture or several, with the answers that are accepted.

    Attributes:
        id: Unique within its source.
        question: The question in plain text.
        references: One or more accepted answers; the first is canonical.
        image: The original picture, not yet decoded; the first where there are several.
        source: Where it came from (a benchmark, a data set), for tables.
        kind: What sort of question it is, for tables. Policies never see it.
        answer_type: See :class:`vt_env.judges.Query`; ``""`` when it is not known.
        choices: Option texts of a multiple-choice question in the order of their letters.
        metadata: Whatever else the source knows of the row; JSON-serialisable. ``answer_box``
            is where the answer is: left, top, right, bottom in pixels of the first picture;
            ``form_of`` names the question of which it is one of several forms, as with options in
            another order: these are no independent evidence.
        more_images: The pictures after the first, in their order.

    Raises:
        DataError: On an empty id, question or references, or an ``answer_box`` that is none.
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
    more_images: tuple[PictureLike, ...] = ()

    @property
    def images(self) -> tuple[PictureLike, ...]:
        """All pictures; most samples have one."""
        return (self.image, *self.more_images)

    @property
    def answer_box(self) -> Box | None:
        """Where the answer is in the first picture, where that is known."""
        given: Any = self.metadata.get("answer_box")
        if given is None:
            return None
        try:
            box = Box(*(float(edge) for edge in given))
        except (TypeError, ValueError):
            box = Box(0, 0, 0, 0)
        if not 0 < box.area < math.inf:
            raise DataError(
                f"sample {self.id!r}: answer_box must be left, top, right, bottom in "
                f"pixels, got {given!r:.80}"
            )
        return box

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
        _ = self.answer_box
