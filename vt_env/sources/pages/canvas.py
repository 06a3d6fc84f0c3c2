"""A page while it is drawn: it writes, and remembers what stands where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vt_env.regions import Box
from vt_env.sources.pages.fonts import FACES, HARD_FACES, LABEL_FACES, advance, font
from vt_env.sources.pages.page import HEIGHTS, Entry, Pixels, Print, Recipe, Text

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {
    "red": (200, 40, 40),
    "green": (30, 140, 60),
    "blue": (40, 70, 190),
    "orange": (225, 130, 30),
    "purple": (130, 50, 160),
    "grey": (115, 115, 115),
}
PROSE = (
    "this page was drawn from a number and nothing on it is true of anybody anywhere; what is "
    "printed small has to be looked at closely and what is printed large can be read from far "
    "away; keep it dry and flat and bring it with you when you come again, for whoever has lost it "
    "waits longer"
).split()
"""Words of paragraphs that nobody is asked about."""
LABEL = (10.5, 11.5)
"""Least and most height of a label's digits, in pixels at ``print`` 1."""


def _centres(letters: ImageFont.FreeTypeFont, words: str) -> list[float]:
    """Where characters stand, in pixels from the beginning: kerning is spread over all of them."""
    ends = [0.0, *accumulate(advance(letters, character) for character in words)]
    scale = letters.getlength(words) / ends[-1] if ends[-1] else 1.0
    return [scale * (a + b) / 2 for a, b in pairwise(ends)]


class Canvas:
    """A sheet of paper with one ink, one face for values and one for labels.

    Args:
        rng: Where every choice comes from.
        recipe: How to print.
        side: Pixels of a square sheet that is not of the recipe's size.

    Attributes:
        unit: Pixels of what is one pixel at ``print`` 1.
        entries: What can be asked for so far.
        other: Boxes of what is printed besides.
    """

    def __init__(self, rng: np.random.Generator, recipe: Recipe, side: int | None = None) -> None:
        self.rng = rng
        self.recipe = recipe
        self.unit = recipe.print
        self.width, self.height = side or recipe.width, side or recipe.height
        self.paper = self.colour(215, 256)
        self.ink = self.colour(0, round(50 + 120 * recipe.difficulty))
        faces = HARD_FACES if recipe.difficulty >= 0.5 else FACES
        self.face = faces[rng.integers(len(faces))]
        self.label_face = LABEL_FACES[rng.integers(len(LABEL_FACES))]
        self.label_height = float(rng.uniform(*LABEL))
        self.entries: list[Entry] = []
        self.other: list[Box] = []
        self.image = Image.fromarray(self._shaded())
        self.draw = ImageDraw.Draw(self.image)

    def _shaded(self) -> Pixels:
        """Paper in uneven light: uint8 [height, width, 3]."""
        across, down = self.rng.normal(0, 6, 2)
        light = np.linspace(-down, down, self.height, dtype=np.float32)[:, None] + np.linspace(
            -across, across, self.width, dtype=np.float32
        )
        return (light[..., None] + np.asarray(self.paper, np.float32)).clip(0, 255).astype(np.uint8)

    @property
    def pale(self) -> Colour:
        """What rules are drawn in: between paper and ink."""
        red, green, blue = ((2 * p + i) // 3 for p, i in zip(self.paper, self.ink, strict=True))
        return red, green, blue

    def colour(self, least: int, beyond: int) -> Colour:
        """A colour whose channels are from ``least`` to below ``beyond``."""
        red, green, blue = (int(value) for value in self.rng.integers(least, beyond, 3))
        return red, green, blue

    def between(self, least: float, most: float) -> int:
        """A whole number of pixels from a range at ``print`` 1; ``least`` if the range is empty."""
        low = round(least * self.unit)
        return int(self.rng.integers(low, max(low, round(most * self.unit)) + 1))

    def chance(self, share: float = 0.5) -> bool:
        """True in this share of the cases."""
        return bool(self.rng.random() < share)

    def text_width(self, words: str, face: str, height: float) -> float:
        """How wide a text would be, in pixels; its height is given at ``print`` 1."""
        return font(face, height * self.unit).getlength(words)

    def write(
        self,
        words: str,
        left: float,
        baseline: float,
        *,
        face: str,
        height: float,
        ink: Colour | None = None,
    ) -> Text:
        """Print a text.

        Args:
            words: What.
            left: Where it begins, in pixels.
            baseline: What its characters stand on, in pixels.
            face: The font.
            height: Of its digits, in pixels at ``print`` 1.
            ink: The page's, if left out.
        """
        letters = font(face, height * self.unit)
        x, y = round(left), round(baseline)
        self.draw.text((x, y), words, font=letters, fill=ink or self.ink, anchor="ls")
        middle = y - height * self.unit / 2
        west, north, east, south = letters.getbbox(words, anchor="ls")
        return Text(
            words,
            Box(x + west, y + north, x + east, y + south),
            tuple((x + across, middle) for across in _centres(letters, words)),
        )

    def label(self, words: str, left: float, baseline: float, ink: Colour | None = None) -> Text:
        """Print a label."""
        return self.write(
            words, left, baseline, face=self.label_face, height=self.label_height, ink=ink
        )

    def aside(self, words: str, left: float, baseline: float, height: float) -> None:
        """Print something that nobody is asked about."""
        text = self.write(words, left, baseline, face=self.label_face, height=height)
        self.other.append(text.box)

    def prose(self, top: float, bottom: float) -> None:
        """Print paragraphs that nobody is asked about, where a large page would be empty.

        Args:
            top: Where the empty part begins, in pixels; of less than 100 at ``print`` 1 none is
                filled.
            bottom: Where it ends.
        """
        unit = self.unit
        if bottom - top < 100 * unit:
            return
        left, y = self.between(16, 40), top + 30 * unit
        while y + 90 * unit < bottom:
            for _ in range(self.rng.integers(2, 6)):
                begin = int(self.rng.integers(len(PROSE)))
                words = [*PROSE[begin:], *PROSE[:begin]]
                ends = accumulate(self.text_width(f"{w} ", self.label_face, 7) for w in words)
                fit = sum(2 * left + end < self.width for end in ends)
                self.aside(" ".join(words[:fit]), left, y, 7)
                y += 15 * unit
            y += self.between(30, 200)

    def print_size(self) -> tuple[Print, float]:
        """A print at random and the height of its digits, in pixels at ``print`` 1."""
        size: Print = "small" if self.chance(self.recipe.small) else "large"
        return size, float(self.rng.uniform(*HEIGHTS[size]))

    def value(
        self,
        names: Sequence[str],
        words: str,
        room: Box,
        *,
        label: Text | None = None,
        align: str = "anywhere",
        ink: Colour | None = None,
    ) -> Entry:
        """Print a value, small or large at random, somewhere in a room.

        Args:
            names: What it is asked by.
            words: The value.
            room: Where it may stand, in pixels; what is too wide for it begins at its left.
            label: Its label.
            align: ``"anywhere"``, ``"right"`` or ``"centre"`` across; down it is anywhere.
            ink: The page's, if left out.
        """
        size, height = self.print_size()
        left, top, right, bottom = room.edges
        wide, high = self.text_width(words, self.face, height), height * self.unit
        spare = max(0.0, right - left - wide)
        share = {"right": 1.0, "centre": 0.5}.get(align, float(self.rng.random()))
        lowest = top + high + max(0.0, bottom - top - high) * float(self.rng.random())
        text = self.write(
            words, left + spare * share, lowest, face=self.face, height=height, ink=ink
        )
        entry = Entry(tuple(names), text, label, size)
        self.entries.append(entry)
        return entry
