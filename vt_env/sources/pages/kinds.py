"""The kinds of page, and how one of a kind is asked about and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vt_env.sources.pages.canvas import Canvas
from vt_env.sources.pages.charts import bars, lines
from vt_env.sources.pages.finish import finish
from vt_env.sources.pages.forms import form, receipt
from vt_env.sources.pages.page import Page, Recipe
from vt_env.sources.pages.signs import scene, sign
from vt_env.sources.pages.tables import table


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of page.

    Attributes:
        name: Of the kind.
        draw: Puts it on a canvas.
        wordings: Questions, with a blank for each of an entry's names.
    """

    name: str
    draw: Callable[[Canvas], None]
    wordings: tuple[str, ...]


FIELD = ("What is the {0}?", "What does it say for {0}?", "Read the {0}.", "{0}?")
TABLE = ("What is the number for {0} in {1}?", "How much {0} is there in {1}?", "{1}: {0}?")
CHART = ("What is the value of {0}?", "How many for {0}?", "Read the value of {0}.")
SIGN = ("Which {0} is it?", "What number follows {0}?", "{0}?")
SCENE = ("What number is on the {0} {1}?", "Read the plate of the {0} {1}.")

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("form", form, FIELD),
        Kind("receipt", receipt, FIELD),
        Kind("table", table, TABLE),
        Kind("bars", bars, CHART),
        Kind("lines", lines, CHART),
        Kind("sign", sign, SIGN),
        Kind("scene", scene, SCENE),
    )
}


def draw_page(kind: str, recipe: Recipe, rng: np.random.Generator) -> Page:
    """Draw a page.

    Args:
        kind: One of :data:`KINDS`.
        recipe: How to print.
        rng: Where every choice comes from.
    """
    canvas = Canvas(rng, recipe)
    KINDS[kind].draw(canvas)
    return finish(canvas, kind)
