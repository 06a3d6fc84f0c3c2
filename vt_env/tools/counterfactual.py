"""A tool that shows something else than it was asked for: what was the view itself worth?

The policy decides as ever and reads the same words; only the pixels differ. Comparing an agent's
episodes with those in which its calls show nothing, nothing new, a place elsewhere or the place
where the answer is, on the same samples, tells how much of a tool's gain is the tool's.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from vt_env.errors import ConfigError, unknown_name
from vt_env.pictures import View
from vt_env.regions import Box, Region
from vt_env.tokens import Counter
from vt_env.tools.base import Result, Scene, Tool, ToolError

SHOWS = ("blank", "same-view", "random-crop", "oracle-crop")
_GREY = (127, 127, 127)


class Counterfactual(Tool):
    """Carries out a call by another tool, and shows other pixels.

    ``blank`` is a grey picture of the same size; ``same-view`` is what the policy saw when it
    asked, at the size that the call would have shown; ``random-crop`` is a part of the same size
    elsewhere in the same picture, the same for the same call, which overlaps what was asked for
    only where there is no room beside it (:attr:`~vt_env.pictures.View.overlap`: 1 of a call for
    all of a picture); ``oracle-crop`` is the part that
    holds the answer, as the tool shows it, or in its own pixels where the tool cannot. What is no
    part of a picture is always answered by ``blank``. Views keep the region that was asked for, so
    that whatever is said of them is said as ever; :attr:`~vt_env.pictures.View.method` tells the
    truth. Text, errors and tokens are the tool's own, but for the tokens of ``oracle-crop``.

    Args:
        tool: What is called.
        shows: One of :data:`SHOWS`.

    Raises:
        ConfigError: If ``shows`` is unknown.
    """

    def __init__(self, tool: Tool, shows: str) -> None:
        if shows not in SHOWS:
            raise unknown_name("counterfactual view", shows, SHOWS)
        self.tool, self.shows = tool, shows
        self.name = tool.name  # pyright: ignore[reportAttributeAccessIssue]
        self.description = tool.description  # pyright: ignore[reportAttributeAccessIssue]
        self.parameters = tool.parameters  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def shows_parts(self) -> bool:
        """As the tool."""
        return self.tool.shows_parts

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> Result:
        """Carry out the call, then show something else.

        Raises:
            ToolError: What the tool raises.
            ConfigError: If the place of the answer is wanted and not known.
        """
        given = self.tool.apply(scene, arguments)
        if isinstance(given, str):
            return Result(text=given)
        result = Result((given,)) if isinstance(given, View) else given
        views = tuple(self._instead(scene, view) for view in result.views)
        return Result(views, result.text)

    def arguments_for(self, scene: Scene, region: Region) -> dict[str, Any]:
        """As the tool."""
        return self.tool.arguments_for(scene, region)

    def called(self, pictures: int, index: int) -> int | str | None:
        """As the tool."""
        return self.tool.called(pictures, index)

    def most(self, scene: Scene) -> tuple[int, int] | None:
        """As the tool."""
        return self.tool.most(scene)

    def check(self, tokens: Counter) -> None:
        """As the tool."""
        self.tool.check(tokens)

    def _instead(self, scene: Scene, asked: View) -> View:
        region, size, overlap = asked.region, asked.size, None
        if self.shows == "blank" or region is None:  # of no part of a picture: nothing to swap
            return View(Image.new("RGB", size, _GREY), "blank", region=region)
        if self.shows == "same-view":
            seen = asked.asked_on or scene.views[-1]
            image = seen.image.resize(size, Image.Resampling.LANCZOS)
        elif self.shows == "random-crop":
            box = _elsewhere(region)
            overlap = box.within(region.box.whole()).area / box.area
            image = scene.pictures[region.picture].crop(box, size).image
        else:
            image = self._answer(scene).image
        return View(image, self.shows, region=region, asked_on=asked.asked_on, overlap=overlap)

    def _answer(self, scene: Scene) -> View:
        """What the tool shows of the place where the answer is."""
        if scene.target is None:
            raise ConfigError(
                "oracle-crop needs samples that say where the answer is: metadata['answer_box']"
            )
        try:
            given = self.tool.apply(scene, self.tool.arguments_for(scene, scene.target))
        except ToolError:  # one that shows no parts, or not such a small one
            given = ""
        views = (given,) if isinstance(given, View) else getattr(given, "views", ())
        picture = scene.pictures[scene.target.picture]
        return views[0] if views else picture.crop(scene.target.box)


def _elsewhere(region: Region) -> Box:
    """A box of the same size in the same picture, drawn by the region itself.

    It is one of those beside the region; without any, the one that has least in common with it.
    """
    box = region.box.whole()
    rng = np.random.default_rng(zlib.crc32(repr((region.picture, box.edges, region.of)).encode()))
    x, y = (
        np.arange(max(0, whole - int(part)) + 1)
        for whole, part in zip(region.of, (box.width, box.height), strict=True)
    )
    off_x, off_y = np.abs(x - box.left), np.abs(y - box.top)
    beside, below = off_x >= box.width, off_y >= box.height
    ways = beside.sum() * len(y), (~beside).sum() * below.sum()
    if not sum(ways):
        left, top = x[off_x.argmax()], y[off_y.argmax()]
    elif rng.integers(sum(ways)) < ways[0]:
        left, top = rng.choice(x[beside]), rng.choice(y)
    else:
        left, top = rng.choice(x[~beside]), rng.choice(y[below])
    return Box(left, top, left + box.width, top + box.height)
