"""Small pictures of which some details outlive halving and some do not.

Every picture has a light grey background and, in three of its four quadrants, a coloured shape, a
two-digit number and a patch of 1-pixel hatching. At half size the shape and a number of twice the
font's size can still be read, digits of 3×5 pixels become ambiguous, and hatching, which is at the
pixel grid's own frequency, averages to grey. Not perfectly: where the resampling kernel reaches
across the patch's edge, up to 20 of its 80 to 109 levels remain, and an observer who knew all else
of a picture could tell patterns apart by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vt_env.errors import ConfigError
from vt_env.sources.base import is_count, is_number

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (230, 210, 40),
    "purple": (150, 50, 190),
    "orange": (240, 140, 30),
}
SHAPES = ("circle", "square", "triangle")
CORNERS = ("top left", "top right", "bottom left", "bottom right")
TEXTURES = ("horizontal", "vertical", "checker", "plain")
NUMBER_SIZES = ("small", "big")
FAINT = "faint"
"""A big number that is more or less lost at half size, in place of one of NUMBER_SIZES."""
CONTRASTS = (4, 40)
"""Least and most contrast that is left of such a number at half size, in grey levels."""

MOST_SIDE = 4096
"""Pixels of a picture's side at most."""

_FONT = (  # digits 0 to 9 side by side, each 3 wide and 5 high
    "### .#. ### ### #.# ### ### ### ### ###",
    "#.# ##. ..# ..# #.# #.. #.. ..# #.# #.#",
    "#.# .#. ### ### ### ### ### ..# ### ###",
    "#.# .#. #.. ..# ..# ..# #.# ..# #.# ..#",
    "### ### ### ### ..# ### ### ..# ### ###",
)
_DIGITS: list[NDArray[np.bool_]] = [
    np.array([[c == "#" for c in line[4 * d : 4 * d + 3]] for line in _FONT]) for d in range(10)
]

Pixels = NDArray[np.uint8]
Edges = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


class Drawn(NamedTuple):
    """A picture and the truth about it.

    Attributes:
        pixels: uint8 [side, side, 3].
        attributes: What is in it: ``colour``, ``shape``, ``corner`` (of the shape), ``number`` (two
            digits), ``number_size`` (a faint one is big) and ``texture``; of a faint number also
            ``number_contrast``, what is left of it at half size in grey levels.
        places: Where the ``shape``, the ``number`` and the ``texture`` are.
    """

    pixels: Pixels
    attributes: dict[str, str]
    places: dict[str, Edges]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pictures are drawn.

    Attributes:
        side: Width and height in pixels; even, from 32 to :data:`MOST_SIDE`.
        noise: Standard deviation of the Gaussian noise on every channel, in grey levels.
        snap: Small numbers stand at multiples of so many pixels: a model's patch side, so that it
            need not learn them at every offset. 1 lets them stand anywhere.
        hard: Small numbers are faint (90 to 130 levels darker than the background) and hatching
            has 80 to 109 levels between its stripes. Otherwise both are near black.

    Raises:
        ConfigError: On a value out of range.
    """

    side: int = 32
    noise: float = 10.0
    snap: int = 4
    hard: bool = True

    def __post_init__(self) -> None:
        side = self.side
        if not is_count(side, 32, MOST_SIDE) or side % 2:
            raise ConfigError(
                f"side must be an even number of pixels from 32 to {MOST_SIDE}, got {side!r:.80}"
            )
        quarter = side // 4
        if not is_count(self.snap, 1, quarter):
            raise ConfigError(
                f"snap must be a whole number from 1 to {quarter}, a quarter of the side, "
                f"got {self.snap!r:.80}"
            )
        if not is_number(self.noise, 0, 128):
            raise ConfigError(
                f"noise must be a number from 0 to 128 grey levels, got {self.noise!r:.80}"
            )
        if not isinstance(cast("object", self.hard), bool):
            raise ConfigError(f"hard must be true or false, got {self.hard!r:.80}")


def draw(rng: np.random.Generator, recipe: Recipe, number_size: str | None = None) -> Drawn:
    """Draw one picture.

    Args:
        rng: Where every choice comes from.
        recipe: How to draw.
        number_size: ``"small"``, ``"big"`` or ``"faint"``; small or big, drawn like the rest, if
            left out.
    """
    background = int(rng.integers(200, 246))
    quadrants: list[int] = rng.permutation(4).tolist()
    canvas, shape, at = _shape(rng, recipe, background, quadrants[0])
    pixels = np.asarray(canvas, dtype=np.float32).copy()
    corner = _corner(recipe, quadrants[1])
    number, number_at = _number(rng, recipe, background, corner, number_size, pixels)
    texture, texture_at = _texture(rng, recipe, _corner(recipe, quadrants[2]), pixels)
    pixels += recipe.noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    attributes = {**shape, **number, "texture": texture}
    places = {"shape": at, "number": number_at, "texture": texture_at}
    return Drawn(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8), attributes, places)


def _corner(recipe: Recipe, quadrant: int) -> tuple[int, int]:
    """Left and top pixel of a quadrant, numbered as in CORNERS."""
    half = recipe.side // 2
    return quadrant % 2 * half, quadrant // 2 * half


def _shape(
    rng: np.random.Generator, recipe: Recipe, background: int, quadrant: int
) -> tuple[Image.Image, dict[str, str], Edges]:
    half = recipe.side // 2
    left, top = _corner(recipe, quadrant)
    r = int(rng.integers(half * 3 // 8, half // 2))
    x, y = left + int(rng.integers(r, half - r + 1)), top + int(rng.integers(r, half - r + 1))
    colour = list(COLOURS)[rng.integers(len(COLOURS))]
    shape = SHAPES[rng.integers(len(SHAPES))]
    tint = np.clip(np.array(COLOURS[colour]) + rng.integers(-15, 16, size=3), 0, 255).tolist()
    fill = (tint[0], tint[1], tint[2])
    canvas = Image.new("RGB", (recipe.side, recipe.side), (background,) * 3)
    pen = ImageDraw.Draw(canvas)
    if shape == "circle":
        pen.ellipse((x - r, y - r, x + r - 1, y + r - 1), fill=fill)
    elif shape == "square":
        k = int(r * 0.88)  # so that its area is near the circle's
        pen.rectangle((x - k, y - k, x + k - 1, y + k - 1), fill=fill)
    else:
        pen.polygon([(x, y - r), (x - r, y + r - 1), (x + r - 1, y + r - 1)], fill=fill)
    attributes = {"colour": colour, "shape": shape, "corner": CORNERS[quadrant]}
    return canvas, attributes, (x - r, y - r, x + r, y + r)


def _number(
    rng: np.random.Generator,
    recipe: Recipe,
    background: int,
    corner: tuple[int, int],
    size: str | None,
    pixels: NDArray[np.float32],
) -> tuple[dict[str, str], Edges]:
    drawn = NUMBER_SIZES[rng.integers(2)]  # also when it is given: the stream stays in step
    size = size or drawn
    first, second = (int(d) for d in rng.integers(10, size=2))
    glyphs: NDArray[np.bool_] = np.hstack([_DIGITS[first], np.zeros((5, 1), bool), _DIGITS[second]])
    if size == FAINT:
        contrast, at = _faint_number(rng, recipe, background, corner, glyphs, pixels)
        number = {"number": f"{first}{second}", "number_size": "big"}
        return {**number, "number_contrast": str(contrast)}, at
    if size == "big":
        glyphs = glyphs.repeat(2, axis=0).repeat(2, axis=1)
    height, width = len(glyphs), len(glyphs[0])
    half = recipe.side // 2
    x = corner[0] + int(rng.integers(1, half - width))
    y = corner[1] + int(rng.integers(1, half - height))
    ink = int(rng.integers(0, 60))
    if size == "small":
        x, y = _snapped(x, recipe.snap), _snapped(y, recipe.snap)
        if recipe.hard:
            ink = max(0, background - int(rng.integers(90, 131)))
    pixels[y : y + height, x : x + width][glyphs] = ink
    at = x, y, x + width, y + height
    return {"number": f"{first}{second}", "number_size": size}, at


def _faint_number(
    rng: np.random.Generator,
    recipe: Recipe,
    background: int,
    corner: tuple[int, int],
    glyphs: NDArray[np.bool_],
    pixels: NDArray[np.float32],
) -> tuple[int, Edges]:
    """A big number in a checkerboard of single pixels, on a darker quadrant.

    Its dots stand at even pixels, the grid of the half size, where the checkerboard averages to
    its mean: what is left is that the mean is a little darker than the quadrant. Returns by how
    much, and where.
    """
    contrast = int(rng.integers(CONTRASTS[0], CONTRASTS[1] + 1))
    half, (left, top) = recipe.side // 2, corner
    height, width = 2 * len(glyphs), 2 * len(glyphs[0])
    x = 2 * int(rng.integers((left + 1) // 2, (left + half - width) // 2 + 1))
    y = 2 * int(rng.integers((top + 1) // 2, (top + half - height) // 2 + 1))
    plate = background - 80
    pixels[top : top + half, left : left + half] = plate
    dots = np.kron(glyphs, [[contrast + 50, contrast - 50], [contrast - 50, contrast + 50]])
    pixels[y : y + height, x : x + width] = plate - dots[..., None]
    return contrast, (x, y, x + width, y + height)


def _snapped(position: int, step: int) -> int:
    """The multiple of ``step`` at or before a position, but never the picture's edge."""
    return position if step == 1 else max(step, position // step * step)


def _texture(
    rng: np.random.Generator,
    recipe: Recipe,
    corner: tuple[int, int],
    pixels: NDArray[np.float32],
) -> tuple[str, Edges]:
    half = recipe.side // 2
    texture = TEXTURES[rng.integers(len(TEXTURES))]
    size = int(rng.integers(half // 2, half * 2 // 3))
    x = corner[0] + int(rng.integers(1, half - size))
    y = corner[1] + int(rng.integers(1, half - size))
    if recipe.hard:
        dark = int(rng.integers(20, 60))
        light = dark + int(rng.integers(80, 110))
    else:
        dark, light = int(rng.integers(0, 60)), int(rng.integers(150, 190))
    rows, columns = np.ogrid[:size, :size]
    weight = {
        "horizontal": rows % 2 + 0 * columns,
        "vertical": columns % 2 + 0 * rows,
        "checker": (rows + columns) % 2,
        "plain": np.full((size, size), 0.5),
    }[texture]
    pixels[y : y + size, x : x + size] = (dark + (light - dark) * weight)[..., None]
    return texture, (x, y, x + size, y + size)
