"""lmms-eval's requests as samples: a question, one picture, and no references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vt_env import PictureError, Query, Verdict
from vt_env.picture_files import to_rgb
from vt_env.samples import PictureLike, Sample
from vt_env.sources import Source

UNTOLD = ("(lmms-eval keeps the references)",)
"""Stands where a sample has references: the model's side is not told them."""
_PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request of ``generate_until`` to a *simple* model.

    Attributes:
        task: Its task.
        split: The split of the task's data.
        doc_id: The document's place in it.
        repeat: How often it was asked before in this run.
        question: The text that the task makes of the document.
        visuals: Reads what is to be seen.
    """

    task: str
    split: str
    doc_id: int
    repeat: int
    question: str
    visuals: Callable[[], Any]

    @property
    def id(self) -> str:
        """Of its sample. Seeds the rollout, so that a repetition is another one."""
        return f"{self.task}/{self.doc_id}" + (f"#{self.repeat}" if self.repeat else "")

    def picture(self) -> PictureLike:
        """The one picture."""
        seen = self.visuals()
        seen = list(seen) if isinstance(seen, list | tuple) else [seen]
        seen = [one for one in seen if one is not None]
        if not self.question.strip():
            raise PictureError("its question is empty", self.id)
        if len(seen) != 1:
            what = f"it shows {len(seen)} pictures" if seen else "it shows no picture"
            raise PictureError(f"{what}, and an episode has one original", self.id)
        (one,) = seen
        if isinstance(one, Image.Image):
            return np.asarray(to_rgb(one, self.id))
        if isinstance(one, str | Path) and Path(one).suffix.lower() in _PICTURES:
            return Path(one)
        raise PictureError(
            f"it shows a {type(one).__name__} ({one!r:.60}) and no picture: videos and sounds are "
            "not played",
            self.id,
        )


def requests_of(instances: Sequence[Any], data: Mapping[str, Any]) -> list[Request]:
    """From lmms-eval's instances.

    Args:
        instances: With ``args``: context, settings of generation, ``doc_to_visual``, the document's
            place, task and split.
        data: The data of each task and split, ``lmms.task_dict``.
    """
    asked: Counter[tuple[str, str, int]] = Counter()
    made: list[Request] = []
    for instance in instances:
        question, _, see, at, task, split = instance.args
        rows, repeat = data[task][split], asked[task, split, at]
        visuals = lambda see=see, rows=rows, at=at: see(rows[at])  # noqa: E731
        made.append(Request(task, split, at, repeat, question, visuals))
        asked[task, split, at] += 1
    return made


class Requests(Source):
    """Requests as samples; pictures are there for those that are played."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.name = "lmms-eval"
        self._requests = requests
        self._ids = [request.id for request in requests]
        self._pictures: dict[str, PictureLike] = {}

    def ids(self) -> Sequence[str]:
        """In the requests' order."""
        return self._ids

    def read(self, places: range) -> dict[str, str]:
        """Read the pictures of some requests, and let go of all others.

        Returns:
            By id why a request cannot be played.
        """
        self._pictures, refused = {}, {}
        for request in self._requests[places.start : places.stop]:
            try:
                self._pictures[request.id] = request.picture()
            except PictureError as error:
                refused[request.id] = str(error)
        return refused

    def _sample(self, index: int) -> Sample:
        request = self._requests[index]
        picture = self._pictures[request.id]
        return Sample(request.id, request.question, UNTOLD, picture, source=request.task)


class Nobody:
    """The judge where lmms-eval judges: every answer is unscored."""

    name = "lmms-eval"

    def score(self, queries: Sequence[Query]) -> list[Verdict]:
        """Unscored."""
        return [Verdict(None, self.name, "lmms-eval judges it") for _ in queries]
