"""What happens to a page between the printer and the reader: skew, blur, noise, JPEG.

Each but noise spares half of the pages, so that at every difficulty some are as they were printed.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageFilter

from vt_env.sources.pages.canvas import Canvas
from vt_env.sources.pages.page import Entry, Move, Page, Pixels, Point, moved_box

SKEW = 4.0
"""Pixels at ``print`` 1 by which the page's corners turn at difficulty 1, at most: less than the
margins, so that all print stays on the page. Likewise below."""
BLUR = 1.0
"""Pixels, of the Gaussian's standard deviation, at ``print`` 1."""
NOISE = 20.0
"""Grey levels, of the standard deviation."""
QUALITY = 60
"""How far JPEG's quality falls below 100."""


def finish(canvas: Canvas, kind: str) -> Page:
    """The page that a canvas becomes."""
    rng, recipe, image = canvas.rng, canvas.recipe, canvas.image
    skew, blur, loss = (recipe.difficulty * max(0.0, 2 * u - 1) for u in rng.random(3).tolist())
    arm = max(canvas.width, canvas.height) / 2
    turned = math.asin(skew * SKEW * canvas.unit / arm) * (1 if canvas.chance() else -1)
    entries, other = tuple(canvas.entries), tuple(canvas.other)
    if turned:
        to, coefficients = _turn(turned, canvas.width, canvas.height)
        image = image.transform(
            image.size,
            Image.Transform.AFFINE,
            coefficients,
            Image.Resampling.BICUBIC,
            fillcolor=canvas.paper,
        )
        entries = tuple(_moved(entry, to) for entry in entries)
        other = tuple(moved_box(box, to) for box in other)
    if blur:
        image = image.filter(ImageFilter.GaussianBlur(blur * BLUR * recipe.print))
    pixels = _noisy(np.asarray(image), recipe.difficulty * NOISE * rng.random(), rng)
    if loss:
        pixels = _compressed(pixels, 100 - round(loss * QUALITY))
    return Page(kind, pixels, entries, other)


def _turn(angle: float, width: int, height: int) -> tuple[Move, tuple[float, ...]]:
    """A turn about the middle: where a point goes, and Pillow's coefficients, which go back."""
    cos, sin, x, y = math.cos(angle), math.sin(angle), width / 2, height / 2

    def to(point: Point) -> Point:
        across, down = point[0] - x, point[1] - y
        return x + cos * across - sin * down, y + sin * across + cos * down

    back = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
    return to, back


def _moved(entry: Entry, to: Move) -> Entry:
    label = entry.label and entry.label.moved(to)
    return Entry(entry.names, entry.value.moved(to), label, entry.print)


def _noisy(pixels: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(pixels.shape, np.float32)
    noise *= np.float32(deviation)
    noise += pixels
    return np.rint(noise, out=noise).clip(0, 255, out=noise).astype(np.uint8)


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
    return np.array(Image.open(file))
