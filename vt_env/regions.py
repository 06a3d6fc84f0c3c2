"""Parts of pictures: a box, the space its numbers are in, and the one conversion between spaces.

A policy says a box in numbers of its own: pixels of what it was shown, pixels of what its model
made of that, a share of the sides, thousandths. Whatever cuts, draws, prices or compares a box has
it in pixels of the *source* picture, upright. A :class:`Frame` is the linear map between the two:

    space       its numbers run over            and from 0 to
    source      the whole source picture        its width and height in pixels
    view        the view                        the view's size as it is shown
    model       the view                        the size that the family's processor gives it
    unit        the view                        1
    thousand    the view                        1000

Coordinates are those of edges, not of pixels' centres: pixel i reaches from i to i + 1, and a box
holds the pixels between its edges, as in ``PIL.Image.crop``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vt_env.errors import ConfigError, PictureError, unknown_name

SPACES = ("source", "view", "model", "unit", "thousand")

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its edges, in pixels of a source picture unless something else is said.

    Attributes:
        left: Of the first column that is inside.
        top: Of the first row that is inside.
        right: After the last column.
        bottom: After the last row.
    """

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, size: Size) -> Box:
        """The whole of a picture."""
        return cls(0, 0, *size)

    @property
    def width(self) -> float:
        """In pixels; below 0 where the edges are the wrong way round."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In pixels; below 0 where the edges are the wrong way round."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """In square pixels; 0 where there is nothing inside."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    @property
    def pixels(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of a box of whole pixels."""
        left, top, right, bottom = map(int, self.edges)
        return left, top, right, bottom

    def within(self, other: Box) -> Box:
        """What of it lies in another; its area is 0 where nothing does."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def widened(self, by_x: float, by_y: float) -> Box:
        """With every vertical edge ``by_x`` and every horizontal edge ``by_y`` further out."""
        return Box(self.left - by_x, self.top - by_y, self.right + by_x, self.bottom + by_y)

    def whole(self) -> Box:
        """With each edge at the nearest one between pixels."""
        return Box(*(math.floor(edge + 0.5) for edge in self.edges))

    def at_least(self, width: float, height: float, inside: Box) -> Box:
        """Grown round its centre to a least size, then moved and cut to lie inside another box."""
        left, right = _grown(self.left, self.right, width, inside.left, inside.right)
        top, bottom = _grown(self.top, self.bottom, height, inside.top, inside.bottom)
        return Box(left, top, right, bottom)

    def overlap(self, other: Box) -> float:
        """Intersection over union, from 0 to 1."""
        both = self.within(other).area
        either = self.area + other.area - both
        return both / either if either else 0.0

    def __str__(self) -> str:
        return "[" + ", ".join(f"{edge:g}" for edge in self.edges) + "]"


def _grown(low: float, high: float, least: float, first: float, last: float) -> tuple[float, float]:
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
        low, high = max(low, first), max(high, first + least)
        low, high = min(low, last - least), min(high, last)
    return max(low, first), min(high, last)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of one of a sample's pictures.

    Attributes:
        picture: Which picture, from 0.
        box: In that picture's pixels.
        of: The picture's width and height.
    """

    picture: int
    box: Box
    of: Size

    @property
    def share(self) -> float:
        """Its share of the picture's area, from 0 to 1."""
        return self.box.area / (self.of[0] * self.of[1])


@dataclass(frozen=True, slots=True)
class Frame:
    """What the numbers of a box are measured against: see the module.

    Attributes:
        extent: What the numbers run over, in pixels of the source.
        most: The numbers at its right and bottom edge; they are 0 at the left and the top.
    """

    extent: Box
    most: tuple[float, float]

    def to_source(self, numbers: Sequence[float]) -> tuple[float, ...]:
        """Pixels of the source for numbers of this frame: x, y, x, y, …."""
        starts = self.extent.left, self.extent.top
        sides = self.extent.width, self.extent.height
        return tuple(
            starts[i % 2] + n * sides[i % 2] / self.most[i % 2] for i, n in enumerate(numbers)
        )

    def from_source(self, pixels: Sequence[float]) -> tuple[float, ...]:
        """The way back from :meth:`to_source`."""
        starts = self.extent.left, self.extent.top
        sides = self.extent.width, self.extent.height
        return tuple(
            (p - starts[i % 2]) * self.most[i % 2] / sides[i % 2] for i, p in enumerate(pixels)
        )


def frame(space: str, region: Region, shown: Size, tokens: object = None) -> Frame:
    """How numbers of a space lie on the source picture.

    Args:
        space: One of :data:`SPACES`.
        region: What the view shows.
        shown: The view's size as it is shown, in pixels.
        tokens: The family's counter, which ``model`` alone asks: see :func:`inner_size`.

    Raises:
        ConfigError: On an unknown space, or a family that has no one size inside the model.
        PictureError: If the family refuses the view's size.
    """
    if space == "source":
        return Frame(Box.of(region.of), region.of)
    if space == "view":
        return Frame(region.box, shown)
    if space == "model":
        return Frame(region.box, inner_size(tokens, shown))
    if space in ("unit", "thousand"):
        most = 1.0 if space == "unit" else 1000.0
        return Frame(region.box, (most, most))
    raise unknown_name("space of coordinates", space, SPACES)


def inner_size(tokens: object, shown: Size) -> Size:
    """The size that a family's processor gives a picture before the model sees it.

    Raises:
        ConfigError: If the family cuts pictures into tiles, so that there is no such size.
        PictureError: If the family refuses the size.
    """
    resized = getattr(tokens, "resized", None)
    if resized is None:
        raise ConfigError(
            f"boxes in the model's own pixels need a family that resizes a picture as a whole, "
            f"and {getattr(tokens, 'name', tokens)!r} does not; give space='view'"
        )
    made: Size = resized(*shown)
    if min(made) < 1:
        raise PictureError(f"the family made {made[0]}x{made[1]} of {shown[0]}x{shown[1]} pixels")
    return made
