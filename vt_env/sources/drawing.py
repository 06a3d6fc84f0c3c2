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

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from vt_env.errors import ConfigError

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
Box = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How pictures are drawn.

    Attributes:
        side: Width and height in pixels; even, 32 or more.
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
        if self.side < 32 or self.side % 2:
            raise ConfigError(f"side must be an even number of pixels from 32 up, got {self.side}")
        if not 1 <= self.snap <= self.side // 4:
            raise ConfigError(f"snap must be between 1 and a quarter of the side, got {self.snap}")
        if not 0 <= self.noise <= 128:
            raise ConfigError(f"noise must be between 0 and 128 grey levels, got {self.noise}")


def draw(
    rng: np.random.Generator, recipe: Recipe, number_size: str | None = None
) -> tuple[Pixels, dict[str, str]]:
    """Draw one picture.

    Args:
        rng: Where every choice comes from.
        recipe: How to draw.
        number_size: ``"small"``, ``"big"`` or ``"faint"``; small or big, drawn like the rest, if
            left out.

    Returns:
        uint8 [side, side, 3], and what is in it: ``colour``, ``shape``, ``corner`` (of the shape),
        ``number`` (two digits), ``number_size`` (a faint one is big) and ``texture``; of a faint
        number also ``number_contrast``, what is left of it at half size in grey levels.
    """
    background = int(rng.integers(200, 246))
    quadrants: list[int] = rng.permutation(4).tolist()
    canvas, shape = _shape(rng, recipe, background, quadrants[0])
    pixels = np.asarray(canvas, dtype=np.float32).copy()
    number = _number(rng, recipe, background, _corner(recipe, quadrants[1]), number_size, pixels)
    texture = _texture(rng, recipe, _corner(recipe, quadrants[2]), pixels)
    pixels += recipe.noise * rng.standard_normal(pixels.shape, dtype=np.float32)
    attributes = {**shape, **number, "texture": texture}
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8), attributes


def _corner(recipe: Recipe, quadrant: int) -> tuple[int, int]:
    """Left and top pixel of a quadrant, numbered as in CORNERS."""
    half = recipe.side // 2
    return quadrant % 2 * half, quadrant // 2 * half


def _shape(
    rng: np.random.Generator, recipe: Recipe, background: int, quadrant: int
) -> tuple[Image.Image, dict[str, str]]:
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
    return canvas, {"colour": colour, "shape": shape, "corner": CORNERS[quadrant]}


def _number(
    rng: np.random.Generator,
    recipe: Recipe,
    background: int,
    corner: tuple[int, int],
    size: str | None,
    pixels: NDArray[np.float32],
) -> dict[str, str]:
    drawn = NUMBER_SIZES[rng.integers(2)]  # also when it is given: the stream stays in step
    size = size or drawn
    first, second = (int(d) for d in rng.integers(10, size=2))
    glyphs: NDArray[np.bool_] = np.hstack([_DIGITS[first], np.zeros((5, 1), bool), _DIGITS[second]])
    if size == FAINT:
        contrast = _faint_number(rng, recipe, background, corner, glyphs, pixels)
        return {
            "number": f"{first}{second}",
            "number_size": "big",
            "number_contrast": str(contrast),
        }
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
    return {"number": f"{first}{second}", "number_size": size}


def _faint_number(
    rng: np.random.Generator,
    recipe: Recipe,
    background: int,
    corner: tuple[int, int],
    glyphs: NDArray[np.bool_],
    pixels: NDArray[np.float32],
) -> int:
    """A big number in a checkerboard of single pixels, on a darker quadrant.

    Its dots stand at even pixels, the grid of the half size, where the checkerboard averages to
    its mean: what is left is that the mean is a little darker than the quadrant. Returns by how
    much.
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
    return contrast


def _snapped(position: int, step: int) -> int:
    """The multiple of ``step`` at or before a position, but never the picture's edge."""
    return position if step == 1 else max(step, position // step * step)


def _texture(
    rng: np.random.Generator,
    recipe: Recipe,
    corner: tuple[int, int],
    pixels: NDArray[np.float32],
) -> str:
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
    return texture
