"""Sheets full of print, to learn characters from: fifteen times as many a token as a page has."""

from __future__ import annotations

from typing import Literal

import numpy as np

from agents.tiny.pages.dense import Frame, Targets, sheet_targets
from agents.tiny.pages.words import LABELS
from vt_env.pictures import Picture, View
from vt_env.sources.pages import Entry, Recipe
from vt_env.sources.pages.canvas import Canvas
from vt_env.sources.pages.finish import finish
from vt_env.sources.pages.forms import value_for
from vt_env.sources.pages.page import HEIGHTS

SIDE = 112
"""Pixels of a sheet as it is shown."""
_KINDS: tuple[Literal["small", "large", "label"], ...] = ("small", "large", "label")


def sheet(recipe: Recipe, rng: np.random.Generator, *, halved: bool) -> tuple[View, Targets]:
    """A sheet, and what the heads should say of it.

    Args:
        recipe: How pages are printed.
        rng: Where every choice comes from.
        halved: Large print and labels at half size; else all print as it is on a page.
    """
    canvas = Canvas(rng, recipe, SIDE * 2 if halved else SIDE)
    _fill(canvas, small=not halved)
    page = finish(canvas, "sheet")
    values = [entry.value for entry in page.entries if not entry.names]
    labels = [entry.value for entry in page.entries if entry.names]
    scale = 0.5 if halved else 1.0
    tokens = SIDE // 28
    frame = Frame(0, 0, scale, scale, tokens, tokens)
    return Picture(page.pixels).shrunk(scale), sheet_targets(frame, values, labels)


def _fill(canvas: Canvas, *, small: bool) -> None:
    """Lines of values or labels; the entry of a label has its name."""
    rng, side = canvas.rng, canvas.width
    shares = (0.5, 0.25, 0.25) if small else (0.0, 0.65, 0.35)
    y = int(rng.integers(0, 8))
    while y < side - 7:
        kind = _KINDS[rng.choice(len(_KINDS), p=shares)]
        labels = kind == "label"
        height = canvas.label_height if labels else float(rng.uniform(*HEIGHTS[kind]))
        face = canvas.label_face if labels else canvas.face
        x, y = int(rng.integers(0, 14)), y + round(height)
        while x < side - 8 and y < side:
            label = LABELS[rng.integers(len(LABELS))]
            words = label if labels else value_for(label, rng)
            wide = canvas.text_width(words, face, height)
            if x + wide > side - 1:
                break
            text = canvas.write(words, x, y, face=face, height=height)
            canvas.entries.append(Entry((label,) if labels else (), text, None, "large"))
            x += round(wide) + int(rng.integers(4, 16))
        y += int(rng.integers(3, 8))
