"""What a page is: pixels, and where everything that is printed on it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vt_env.errors import ConfigError
from vt_env.regions import Box
from vt_env.sources.base import is_count, is_number

Pixels = NDArray[np.uint8]
Point = tuple[float, float]
Move = Callable[[Point], Point]
"""Where a point of the page goes when the page is moved or turned."""
Print = Literal["small", "large"]

HEIGHTS: dict[Print, tuple[float, float]] = {"small": (7.1, 7.9), "large": (19.0, 21.0)}
"""Least and most height of a value's digits, in pixels at ``print`` 1. Small print of 7.5 pixels is
3.75 at half size, where its characters run together; large print of 20 is 10, which can be read."""
LEAST_SIDE = 224
MOST_SIDE = 4096
"""Pixels of a page's side; the least is for ``print`` 1 and grows with it."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pages are printed.

    Attributes:
        width: In pixels.
        height: In pixels; 0 for as high as wide.
        print: Every size on the page over that of a 224 x 224 page: 1 keeps print as small on a
            larger page, with more room around it; width / 224 enlarges the same page.
        difficulty: From 0 to 1: skew, blur, noise, JPEG's losses, pale ink, thin faces.
        small: Share of small print, from 0 to 1.

    Raises:
        ConfigError: On a value out of range.
    """

    width: int = LEAST_SIDE
    height: int = 0
    print: float = 1.0
    difficulty: float = 0.25
    small: float = 0.5

    def __post_init__(self) -> None:
        for name, least, most in (("print", 0.5, 16), ("difficulty", 0, 1), ("small", 0, 1)):
            value: object = getattr(self, name)
            if not is_number(value, least, most):
                raise ConfigError(
                    f"{name} must be a number from {least} to {most}, got {value!r:.80}"
                )
        if self.height == 0:
            object.__setattr__(self, "height", self.width)
        for name in ("width", "height"):
            side: object = getattr(self, name)
            least = round(LEAST_SIDE * self.print)
            if not is_count(side, least, MOST_SIDE):
                raise ConfigError(
                    f"{name} must be a whole number of pixels from {least} (224 times print) to "
                    f"{MOST_SIDE}, got {side!r:.80}"
                )


@dataclass(frozen=True, slots=True)
class Text:
    """Printed characters.

    Attributes:
        words: What is printed.
        box: Around its ink.
        centres: Where each character stands.
    """

    words: str
    box: Box
    centres: tuple[Point, ...]

    def moved(self, to: Move) -> Text:
        """The same text after the page was moved or turned."""
        return replace(
            self, box=moved_box(self.box, to), centres=tuple(to(point) for point in self.centres)
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """Something on a page that can be asked for.

    Attributes:
        names: What it is asked by, in the order of the question's blanks.
        value: The answer, where it is printed.
        label: Its name, where it is printed; ``None`` where it has none or several.
        print: ``"small"`` or ``"large"``: the value's.
    """

    names: tuple[str, ...]
    value: Text
    label: Text | None
    print: Print


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes:
        kind: One of :data:`~vt_env.sources.pages.kinds.KINDS`.
        pixels: uint8 [height, width, 3].
        entries: What can be asked for; no two have the same names.
        other: Boxes of whatever else is printed.
    """

    kind: str
    pixels: Pixels
    entries: tuple[Entry, ...]
    other: tuple[Box, ...]


def moved_box(box: Box, to: Move) -> Box:
    """The smallest upright box around a moved one."""
    left, top, right, bottom = box.edges
    corners = [
        to(corner) for corner in ((left, top), (right, top), (left, bottom), (right, bottom))
    ]
    across, down = zip(*corners, strict=True)
    return Box(min(across), min(down), max(across), max(down))
