"""The source ``pages``: one question about each page, drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Unpack

import numpy as np

from vt_env.errors import unknown_name
from vt_env.regions import Box
from vt_env.samples import Sample
from vt_env.sources.admission import AdmissionOptions
from vt_env.sources.pages.kinds import KINDS, draw_page
from vt_env.sources.pages.page import Page, Recipe
from vt_env.sources.seeded import SPLITS, SeededSource, stream

ALL = "all"


def page_at(
    kinds: Sequence[str], recipe: Recipe, seed: int, split: str, index: int
) -> tuple[Page, np.random.Generator]:
    """A page of a split, and the generator that drew it, for what is chosen about it.

    Args:
        kinds: Of which one is drawn, each as likely as any other.
        recipe: How pages are printed.
        seed: From 0 to 2⁶³ - 1.
        split: One of ``train``, ``validation`` and ``test``: separate random streams.
        index: From 0 to 2³² - 1.
    """
    rng = stream(seed, SPLITS.index(split), index)
    return draw_page(kinds[int(rng.integers(len(kinds)))], recipe, rng), rng


class PagesSource(SeededSource):
    """Small documents and questions about what is printed on them, drawn from a seed.

    A value is printed small or large at random under the same label and asked for in the same
    words, so whether the half-size page shows enough has to be seen. See also
    :class:`~vt_env.sources.seeded.SeededSource`.

    Answers are judged as exact text: "07" is two digits to be read, not a quantity. A sample's
    ``kind`` is the print, ``small`` or ``large``. Its metadata holds ``page`` (the kind of page),
    ``names`` (what is asked for), ``print``, ``answer_box`` (around the value, in whole pixels) and
    ``needs_high`` (whether print is small).

    Args:
        n: Number of samples.
        seed: From 0 to 2⁶³ - 1.
        split: ``train``, ``validation`` or ``test``.
        kinds: Kinds of page joined by ``+``, in equal shares; ``all`` for every kind.
        width: See :class:`~vt_env.sources.pages.page.Recipe`, also for ``height``, ``print``,
            ``difficulty`` and ``small``.
        height: In pixels; 0 for as high as wide.
        print: Every size on the page over that of a 224 x 224 page.
        difficulty: From 0 to 1.
        small: Share of small print.
        **options: As every source has them; only ``limit`` has an effect.

    Raises:
        ConfigError: On a value out of range or a wrong name.
        MissingExtra: Where matplotlib's fonts are not installed, when a page is drawn.
    """

    tokens = "qwen2.5-vl"

    def __init__(
        self,
        n: int = 2000,
        *,
        seed: int = 0,
        split: str = "test",
        kinds: str = ALL,
        width: int = 224,
        height: int = 0,
        print: float = 1.0,
        difficulty: float = 0.25,
        small: float = 0.5,
        **options: Unpack[AdmissionOptions],
    ) -> None:
        super().__init__("pages", n, seed, split, options)
        self.kinds = tuple(KINDS) if kinds == ALL else tuple(dict.fromkeys(kinds.split("+")))
        for kind in self.kinds:
            if kind not in KINDS:
                raise unknown_name("kind of page", kind, [*KINDS, ALL])
        self.recipe = Recipe(width, height, print, difficulty, small)

    def _settings(self) -> Sequence[Any]:
        return self.kinds, asdict(self.recipe)

    def _draw(self, index: int) -> Sample:
        page, rng = page_at(self.kinds, self.recipe, self.seed, self.split, index)
        entry = page.entries[rng.integers(len(page.entries))]
        wordings = KINDS[page.kind].wordings
        return Sample(
            id=self._id(index),
            question=wordings[rng.integers(len(wordings))].format(*entry.names),
            references=(entry.value.words,),
            image=page.pixels,
            source="pages",
            kind=entry.print,
            answer_type="exact",
            metadata={
                "page": page.kind,
                "names": list(entry.names),
                "print": entry.print,
                "answer_box": whole_pixels(entry.value.box),
                "needs_high": entry.print == "small",
            },
        )


def whole_pixels(box: Box) -> list[int]:
    """A box grown to whole pixels."""
    left, top, right, bottom = box.edges
    return [math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)]
