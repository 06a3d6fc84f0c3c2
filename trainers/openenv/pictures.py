"""Pictures shown lately, made once for all sessions: the rollouts of a group share one."""

# pyright: reportMissingImports=false
from __future__ import annotations

import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from trainers.openenv.messages import encoded
from vt_env.errors import PictureError
from vt_env.pictures import Picture, View
from vt_env.samples import Sample
from vt_env.task import Task

KEPT_PIXELS = 2**25
"""Pixels of the originals that are kept: with what is made of them, some 300 MiB at most."""


_LEAST = 2**16
"""Pixels that a picture counts as at least, so that small ones are not kept without end."""


class Kept:
    """The pictures of the samples begun last, and their views as they travel.

    Threads may share it. A picture that is no longer kept lives on in the sessions that show it.

    Args:
        pixels: How many may be kept; the last picture is kept whatever its size.
    """

    def __init__(self, pixels: int = KEPT_PIXELS) -> None:
        self.pixels = pixels
        self._lock = threading.Lock()
        self._pictures: OrderedDict[str, tuple[Picture, int]] = OrderedDict()
        self._texts: WeakKeyDictionary[View, Future[str]] = WeakKeyDictionary()

    def picture(self, sample_id: str, picture: Picture) -> Picture:
        """The picture that is kept of a sample, else this one, which then is."""
        with self._lock:
            known = sample_id in self._pictures
        pixels = 0 if known else max(_LEAST, _pixels(picture))  # may read a file
        with self._lock:
            picture, _ = self._pictures.setdefault(sample_id, (picture, pixels))
            self._pictures.move_to_end(sample_id)
            total = sum(pixels for _, pixels in self._pictures.values())
            while total > self.pixels and len(self._pictures) > 1:
                total -= self._pictures.popitem(last=False)[1][1]
        return picture

    def text(self, view: View) -> str:
        """The view as it travels; who asks while it is made waits for it."""
        with self._lock:
            made = self._texts.get(view)
            mine = made is None
            if made is None:
                made = self._texts[view] = Future()
        if mine:
            try:
                made.set_result(encoded(view))
            except BaseException as error:
                with self._lock:
                    del self._texts[view]  # who asks next tries anew
                made.set_exception(error)
                raise
        return made.result()


def _pixels(picture: Picture) -> int:
    try:
        return picture.size[0] * picture.size[1]
    except PictureError:
        return 0  # refused: whoever begins with it is told


@dataclass(frozen=True)
class SharedTask(Task):
    """A task whose pictures are kept.

    Attributes:
        kept: Where.
    """

    kept: Kept = field(default_factory=Kept)

    def pictures(self, sample: Sample) -> tuple[Picture, ...]:
        """As the task's own, or those that are there already."""
        made = super().pictures(sample)
        first = self.kept.picture(sample.id, made[0])
        more = (self.kept.picture(f"{sample.id}\0{p.place}", p) for p in made[1:])
        return first, *more
