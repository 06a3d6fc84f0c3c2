"""Pictures as an environment shows them: the original, and smaller versions for a first look.

A :class:`Picture` is shrunk at most once per factor, whoever asks and from whichever thread, so
that a group of rollouts on one question shares the work. It holds its encoded bytes and the small
views; a whole picture of more than a megabyte is decoded once for as long as somebody is shown it,
or it is among those used last (:data:`vt_env.decoding.RECENT`). How files are told apart, refused
and made RGB is in :mod:`vt_env.picture_files`.

Sizes are (width, height) in pixels; arrays are uint8 [H, W, 3].
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vt_env.decoding import RECENT
from vt_env.errors import ConfigError, PictureError, unknown_name
from vt_env.picture_files import FORMATS, OpenPicture, PictureRules, open_picture
from vt_env.regions import Box, Region
from vt_env.samples import PictureLike

__all__ = ["FIRST_LOOKS", "FORMATS", "Picture", "PictureRules", "View", "shrunk_size"]

FIRST_LOOKS = ("lanczos", "reduce", "draft")
"""Ways to make the first look; see :class:`Picture`."""

_DRAFT_DIVISORS = (2, 4, 8)
_SMALL = 2**20
"""Bytes of a whole picture that stays with its owner, once decoded."""
_BYTES_PER_PIXEL = 4
"""Of Pillow's RGB."""


class View:
    """One picture as it is shown to a policy.

    Attributes:
        image: RGB, upright, without metadata. Shared: copy it before drawing on it.
        method: How it was made: ``"original"``, ``"lanczos"``, ``"reduce"`` or ``"draft"``.
        file: The JPEG or PNG that it is, where nothing but decoding was done to it; else ``None``.
        region: Which part of which picture it shows, in that picture's pixels; ``None`` where it
            is no upright part of one, so that nothing can be told of places on it.
        asked_on: The view that a policy named or looked at when it asked for this one; ``None``
            for the views of a whole picture, which rollouts share.
        overlap: Of what was asked for, the share that it shows, from 0 to 1, where another place
            was shown instead; else ``None``.
    """

    def __init__(
        self,
        image: Image.Image,
        method: str,
        file: Path | bytes | None = None,
        *,
        region: Region | None = None,
        asked_on: View | None = None,
        overlap: float | None = None,
    ) -> None:
        self.image = image
        self.method = method
        self.file = file
        self.region = region
        self.asked_on = asked_on
        self.overlap = overlap
        self._array: weakref.ref[NDArray[np.uint8]] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.size

    @property
    def array(self) -> NDArray[np.uint8]:
        """The pixels: uint8 [H, W, 3], read-only, and one array for all who hold it."""
        pixels = self._array and self._array()
        if pixels is None:
            pixels = np.asarray(self.image, dtype=np.uint8)
            pixels.setflags(write=False)
            self._array = weakref.ref(pixels)
        return pixels

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_array": None}

    def __repr__(self) -> str:
        return f"View({self.size[0]}x{self.size[1]}, {self.method})"


def shrunk_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """The size of a picture whose sides are multiplied by ``factor`` and rounded down.

    Args:
        size: Width and height in pixels, each 1 or more.
        factor: Above 0, at most 1.

    Returns:
        Width and height in pixels; a side never falls below 1.

    Raises:
        ConfigError: When ``factor`` is out of range.
    """
    if not 0 < factor <= 1:
        raise ConfigError(f"a factor for shrinking must be above 0 and at most 1, got {factor!r}")
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


class Picture:
    """A source picture. Making one reads nothing; the first use does.

    ``first_look`` is how :meth:`shrunk` works. The size is the same whichever is chosen, and
    :attr:`View.method` tells what was done:

    - ``"lanczos"``: decode, then a LANCZOS resize, as in the paper.
    - ``"reduce"``: decode, then the mean of each block of pixels. For factors 1/n; other factors
      use LANCZOS.
    - ``"draft"``: decode a JPEG directly at 1/2, 1/4 or 1/8, never touching the full picture. Other
      factors, other formats and sides shorter than the divisor are done as ``"reduce"`` does.

    Decoding trusts Pillow's process-wide ``ImageFile.LOAD_TRUNCATED_IMAGES``, which is off unless a
    program turns it on; while it is on, truncated files are accepted.

    Args:
        data: A file, an encoded file in memory, or uint8 [H, W, 3].
        rules: What is accepted.
        first_look: One of :data:`FIRST_LOOKS`.
        place: Which of its sample's pictures it is, from 0.

    Raises:
        ConfigError: When ``first_look`` is unknown. The picture itself is judged on first use, by
            every method and property below: they raise PictureError when it is refused.
    """

    def __init__(
        self,
        data: PictureLike,
        rules: PictureRules = PictureRules(),  # noqa: B008 - frozen
        *,
        first_look: str = "lanczos",
        place: int = 0,
    ) -> None:
        if first_look not in FIRST_LOOKS:
            raise unknown_name("first look", first_look, FIRST_LOOKS)
        self.data = data
        self.rules = rules
        self.first_look = first_look
        self.place = place
        self._lock = threading.RLock()
        self._size: tuple[int, int] | None = None
        self._notice = ""
        self._views: dict[float | tuple[int, int], View] = {}
        self._original: weakref.ref[View] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, after the EXIF orientation and ``rules.shrink_above``.

        Reads the header only.
        """
        with self._lock:
            if self._size is None:
                if isinstance(self.data, np.ndarray):
                    self._size = _array_size(self.data, self.rules)
                else:
                    with self._open():
                        pass
            assert self._size is not None
            return self._size

    @property
    def notice(self) -> str:
        """What of the file is not shown, such as further pages; empty where all is."""
        _ = self.size
        return self._notice

    @property
    def original(self) -> View:
        """The whole picture, decoded unless somebody holds it or it was used not long ago."""
        with self._lock:
            view = self._original and self._original()
            if view is None:
                view = self._decode()
                self._original = weakref.ref(view)
            width, height = view.size
            if (size := _BYTES_PER_PIXEL * width * height) > _SMALL:
                RECENT.use(view, size)
            else:
                self._views[1] = view
            return view

    def shrunk(self, factor: float) -> View:
        """The picture with both sides multiplied by ``factor``, made on first use.

        Args:
            factor: Above 0, at most 1; 1 gives :attr:`original`.

        Returns:
            A view of ``shrunk_size(picture.size, factor)``.

        Raises:
            ConfigError: When ``factor`` is out of range.
            PictureError: When the picture is refused, or rounding the short side down takes the
                result over ``rules.max_aspect`` (3x600 at 0.5 is 1x300).
        """
        if factor == 1:
            return self.original
        with self._lock:
            if factor not in self._views:
                self._views[factor] = self._shrink(factor)
            return self._views[factor]

    def sized(self, size: tuple[int, int]) -> View:
        """The whole picture at a size, made on first use with LANCZOS.

        Args:
            size: Width and height in pixels; the picture's own gives :attr:`original`.

        Raises:
            PictureError: When the picture or the size is refused.
        """
        if size == self.size:
            return self.original
        self.rules.check_size(size, f"picture shown at {size} instead of {self.size}")
        with self._lock:
            if size not in self._views:
                made = self.original.image.resize(size, Image.Resampling.LANCZOS)
                self._views[size] = View(made, "lanczos", region=self.whole)
            return self._views[size]

    def crop(
        self,
        box: Box,
        size: tuple[int, int] | None = None,
        *,
        resample: Image.Resampling = Image.Resampling.LANCZOS,
        asked_on: View | None = None,
    ) -> View:
        """A part of the picture, cut from its own pixels and resampled at most once.

        Args:
            box: Of whole pixels, inside the picture, at least one pixel of it.
            size: Width and height of the view in pixels; by default as many as the box has.
            resample: How to get there.
            asked_on: See :class:`View`.

        Raises:
            ValueError: On a box that is none.
            PictureError: When the picture is refused.
        """
        if box != box.whole() or box != box.within(Box.of(self.size)) or not box.area:
            raise ValueError(f"expected a box of whole pixels inside {self.size}, got {box}")
        cut = self.original.image.crop(box.pixels)
        if size is not None and size != cut.size:
            cut = cut.resize(size, resample)
        return View(cut, "crop", region=Region(self.place, box, self.size), asked_on=asked_on)

    @property
    def whole(self) -> Region:
        """All of it, as a region."""
        return Region(self.place, Box.of(self.size), self.size)

    def check(self, decode: bool = False) -> None:
        """Refuses a picture that cannot be shown.

        Args:
            decode: Decode it too, which alone finds truncated files.

        Raises:
            PictureError: With what was expected, what came and what to do.
        """
        _ = self.original if decode else self.size

    def _shrink(self, factor: float) -> View:
        divisor = round(1 / factor) if 0 < factor <= 1 else 1
        whole = abs(divisor * factor - 1) < 1e-9
        if self.first_look == "draft" and whole and divisor in _DRAFT_DIVISORS:
            drafted = self._draft(divisor, factor)
            if drafted is not None:
                return View(drafted, "draft", region=self.whole)
        image = self.original.image
        size = self._shrunk_size(factor)
        if self.first_look == "lanczos" or not whole:
            made = image.resize(size, Image.Resampling.LANCZOS)
            return View(made, "lanczos", region=self.whole)
        cell = min(divisor, image.width), min(divisor, image.height)
        box = (0, 0, cell[0] * size[0], cell[1] * size[1])
        region = Region(self.place, Box(*box), self.size)
        return View(image.reduce(cell, box=box), "reduce", region=region)

    def _draft(self, divisor: int, factor: float) -> Image.Image | None:
        if isinstance(self.data, np.ndarray):
            return None
        with self._open() as opened:
            if opened.size != self.size:  # it is not this size that would be divided
                return None
            return opened.draft(divisor, self._shrunk_size(factor))

    def _decode(self) -> View:
        if isinstance(self.data, np.ndarray):
            self._size = _array_size(self.data, self.rules)
            return self._bounded(Image.fromarray(self.data), None)
        with self._open() as opened:
            return self._bounded(opened.decode(), self.data if opened.is_plain else None)

    def _bounded(self, image: Image.Image, file: Path | bytes | None) -> View:
        """The original, shrunk where it is larger than is shown."""
        if image.size == self.size:
            return View(image, "original", file, region=self.whole)
        made = image.resize(self.size, Image.Resampling.LANCZOS)
        return View(made, "original", region=self.whole)

    @contextmanager
    def _open(self) -> Generator[OpenPicture]:
        """Opens an encoded picture and notes its size; refuses other types of data."""
        if not isinstance(self.data, (Path, bytes)):
            raise PictureError(
                "expected a picture as pathlib.Path, bytes or a uint8 array [H, W, 3], got "
                f"{type(self.data).__name__}; wrap a file name in pathlib.Path"
            )
        with open_picture(self.data, self.rules) as opened:
            self._size, self._notice = self.rules.shown_size(opened.size), opened.notice
            yield opened

    def _shrunk_size(self, factor: float) -> tuple[int, int]:
        size = shrunk_size(self.size, factor)
        self.rules.check_aspect(size, f"picture shrunk by {factor:g} from {self.size}")
        return size

    def __getstate__(self) -> tuple[PictureLike, PictureRules, str, int]:
        return self.data, self.rules, self.first_look, self.place

    def __setstate__(self, state: tuple[PictureLike, PictureRules, str, int]) -> None:
        data, rules, first_look, place = state
        self.__init__(data, rules, first_look=first_look, place=place)


def _array_size(array: NDArray[Any], rules: PictureRules) -> tuple[int, int]:
    """Width and height of an array of pixels.

    Raises:
        PictureError: When it is not uint8 [H, W, 3] or the rules refuse its size.
    """
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise PictureError(
            f"array: expected uint8 [H, W, 3] (RGB), got {array.dtype} {list(array.shape)}; "
            "convert it, e.g. np.repeat(grey[..., None], 3, axis=2) for a grey one"
        )
    size = array.shape[1], array.shape[0]
    rules.check_size(size, "array")
    return rules.shown_size(size)
