"""Pictures of a report: from the data that was played, small, each once, and only so many.

Episodes on disk hold no pictures, only sizes. Pictures are asked for by the sample's id from the
source that the result names; where that is gone, or asks something else under that id by now, the
page says so and shows sizes.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiments.episodes import Notes, Row
from experiments.report.text import shown
from vt_env import DataError, PictureError, Sample
from vt_env.errors import VisionThinkError
from vt_env.pictures import Picture, shrunk_size
from vt_env.regions import Box
from vt_env.sources import Source, open_source
from vt_env.sources.opening import parse_spec
from vt_env.sources.repeated import REPEAT

SIDE = 384
"""Longest side of an embedded picture; a larger one is embedded as a thumbnail of this size."""
EXACT = 96
"""Up to this side, the original and the first view are embedded pixel by pixel."""
_LOCAL = ("generated", "pages", "jsonl", "folder", "")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a picture as a policy saw it.

    Attributes:
        picture: Which of the sample's pictures, from 0.
        box: In that picture's pixels.
        size: At which it was shown.
    """

    picture: int
    box: Box
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Drawn:
    """Where the pictures of a sample are.

    Attributes:
        size: Of the original, in pixels.
        original: Its place in :attr:`Pictures.embedded`; ``None`` if it is not embedded.
        first: The first view's; ``None``: it is drawn from the original's, made smaller.
        why: Why nothing is embedded.
        more: Places of the sample's further pictures.
        parts: Places of what was looked at closer.
    """

    size: tuple[int, int] | None = None
    original: int | None = None
    first: int | None = None
    why: str = ""
    more: tuple[int, ...] = ()
    parts: Mapping[Part, int] = field(default_factory=dict)

    @property
    def places(self) -> list[int]:
        """Of all its pictures."""
        own = [place for place in (self.original, self.first) if place is not None]
        return [*own, *self.more, *self.parts.values()]


_ANOTHER = "the data has a picture of another size by now"


@dataclass(slots=True)
class Pictures:
    """The pictures of a page.

    Args:
        most: Originals that are embedded.
        notes: Where it is said what cannot be shown.
        data: The source or its spec, where results do not name the right one.

    Attributes:
        embedded: Pictures as data URIs.
        skipped: Samples whose picture would be one too many.
        uncut: The same of parts.
    """

    most: int
    notes: Notes
    data: str | Source | None = None
    embedded: list[str] = field(default_factory=list)
    skipped: int = 0
    uncut: int = 0
    _places: dict[bytes, int] = field(default_factory=dict)
    _made: dict[Any, Drawn] = field(default_factory=dict)
    _sources: dict[str | Source, Source | None] = field(default_factory=dict)
    _originals: int = 0
    _parts: int = 0

    @property
    def size(self) -> int:
        """Characters of what is embedded."""
        return sum(map(len, self.embedded))

    def forget(self) -> None:
        """Make room. Places stay taken, so that what a page was told of them stays true."""
        self.embedded[:] = [""] * len(self.embedded)
        self._places.clear()
        self._made.clear()
        self._originals = self._parts = 0

    def draw(self, wanted: Iterable[tuple[Row, str, Collection[Part]]]) -> list[Drawn]:
        """Pictures of samples, the most wanted first.

        Args:
            wanted: A row of each, the data it is from, and what was looked at closer.
        """
        return [self._draw(*one) for one in wanted]

    def _draw(self, row: Row, spec: str, parts: Collection[Part]) -> Drawn:
        why, name_of = "its data cannot be opened", row.get(REPEAT, {}).get("of", row["id"])
        for name in dict.fromkeys((self.data or spec, spec)):
            if name not in self._sources:
                self._sources[name] = self._open(name)
            if (source := self._sources[name]) is None:
                continue
            try:
                sample = source.by_id(name_of)
            except DataError:
                why = "the data has no such sample"
                continue
            if _is_same(sample, row):
                made = self._embed(sample, row)
                return made if made.original is None else self._with_parts(made, sample, parts)
            why = "the data says something else of this sample by now"
        self.notes.add(f"no picture of a sample: {why}", row["id"])
        return Drawn(why=why)

    def _open(self, spec: str | Source) -> Source | None:
        """The source of a spec; one that only a result names needs no network and no plug-in."""
        if isinstance(spec, Source):
            return spec
        if not spec:
            self.notes.add("no pictures: a result does not name its data; name it with --data")
            return None
        try:
            if spec != self.data and not _is_local(spec):
                self.notes.add(
                    f"no pictures: {shown(spec, 200)} is not opened unasked; name it with --data"
                )
                return None
            return open_source(spec)
        except (VisionThinkError, OSError) as error:
            why = shown(str(error), 300)
            self.notes.add(f"no pictures: the data {shown(spec, 200)} cannot be opened: {why}")
            return None

    def _embed(self, sample: Sample, row: Row) -> Drawn:
        first = (row["views"][0][0], row["views"][0][1]) if row["views"] else None
        key = _identity(sample), first
        if key not in self._made:
            try:
                self._made[key] = self._encode(Picture(sample.image, first_look="draft"), first)
            except (PictureError, OSError) as error:
                self.notes.add(
                    "a picture cannot be shown", f"{row['id']}: {shown(str(error), 300)}"
                )
                return Drawn(why="the picture cannot be read")
        made = self._made[key]
        if made.why == _ANOTHER:
            self.notes.add(f"no picture of a sample: {made.why}", row["id"])
        elif made.why:
            self.skipped += 1
        return made

    def _with_parts(self, made: Drawn, sample: Sample, parts: Collection[Part]) -> Drawn:
        """With further pictures, and with what was looked at closer: as the policy saw it."""
        if not parts and not sample.more_images:
            return made
        try:
            opened = [Picture(image, first_look="draft") for image in sample.images]
            more = [self._place(_thumbnail(picture))[0] for picture in opened[1:]]
            found: dict[Part, int] = {}
            for part in parts:
                if self._parts >= self.most:
                    self.uncut += 1
                elif 0 <= part.picture < len(opened):
                    cut = opened[part.picture].crop(part.box).image
                    scale = min(1, SIDE / max(part.size))
                    shown_at = [max(1, round(side * scale)) for side in part.size]
                    image = cut.resize((shown_at[0], shown_at[1]), Image.Resampling.LANCZOS)
                    found[part], new = self._place(image)
                    self._parts += new
        except (PictureError, OSError, ValueError) as error:
            self.notes.add("a part cannot be shown", f"{sample.id}: {shown(str(error), 300)}")
            return made
        return replace(made, more=tuple(more), parts=found)

    def _encode(self, picture: Picture, first: tuple[int, int] | None) -> Drawn:
        size = picture.size
        if first is not None and not _shows(first, size):
            return Drawn(size, why=_ANOTHER)
        if self._originals >= self.most:
            return Drawn(size, why=f"only {self.most:,} pictures are embedded")
        original, new = self._place(_thumbnail(picture))
        self._originals += new
        factor = 1.0 if first is None else first[0] / size[0]
        if max(size) > EXACT or factor == 1 or shrunk_size(size, factor) != first:
            return Drawn(size, original)
        exact = Picture(np.asarray(picture.original.image)).shrunk(factor).image
        return Drawn(size, original, self._place(exact)[0])

    def _place(self, image: Image.Image) -> tuple[int, bool]:
        """Where a picture is, and whether it is new."""
        encoded, kind = _encoded(image)
        digest = hashlib.sha256(encoded).digest()
        new = digest not in self._places
        if new:
            self._places[digest] = len(self.embedded)
            text = base64.b64encode(encoded).decode("ascii")
            self.embedded.append(f"data:image/{kind};base64,{text}")
        return self._places[digest], new


def _is_local(spec: str) -> bool:
    name, argument, options = parse_spec(spec)
    place = {"hf": argument, "benchmark": options.get("path")}.get(name)
    return name in _LOCAL or bool(place and Path(place).expanduser().exists())


def _is_same(sample: Sample, row: Row) -> bool:
    """Whether a sample of the data is still the one that was played."""
    return sample.question == row["question"] and row["references"] in ([], [*sample.references])


def _identity(sample: Sample) -> Any:
    """What tells pictures apart without reading them; arrays and bytes are told by content."""
    if isinstance(sample.image, Path):
        return sample.image
    data = sample.image if isinstance(sample.image, bytes) else sample.image.tobytes()
    return hashlib.sha256(data).digest()


def _shows(view: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a first view can be one of a picture: smaller, and of its shape up to rounding."""
    factor = max(view[0] / size[0], view[1] / size[1])
    return factor <= 1 and all(
        abs(side - whole * factor) <= 1 + factor for side, whole in zip(view, size, strict=True)
    )


def _thumbnail(picture: Picture) -> Image.Image:
    """The original, at most :data:`SIDE` long; a large JPEG is decoded no larger than needed."""
    longest = max(picture.size)
    divisor = next((d for d in (8, 4, 2) if longest / d >= SIDE), 1)
    image = picture.shrunk(1 / divisor).image.copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image


def _encoded(image: Image.Image) -> tuple[bytes, str]:
    """Exact pixels of a small picture; else the smaller of PNG and JPEG."""

    def save(kind: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    if max(image.size) <= EXACT:
        return save("PNG", optimize=True), "png"
    exact = save("PNG")  # to optimise it takes longer than all the rest of a page
    lossy = save("JPEG", quality=80, optimize=True)
    return (exact, "png") if len(exact) <= len(lossy) else (lossy, "jpeg")
