"""One crop tool for all conventions: what differs between the papers is its settings.

    numbers ─▶ box on the source ─▶ swapped? padded, scaled ─▶ outside? ─▶ whole pixels
            ─▶ small? thin? ─▶ size of the view ─▶ large? ─▶ view

What a box may have wrong has one outcome each, by setting: it is put right with a notice that the
policy reads, or it is an error turn. A box without a pixel of the picture in it is always an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, cast

from PIL import Image

from vt_env.errors import ConfigError, PictureError, unknown_name
from vt_env.pictures import View, shrunk_size
from vt_env.regions import SPACES, Box, Frame, Region, frame
from vt_env.tokens import Counter, TokenCounter
from vt_env.tools.base import Result, Scene, Tool, ToolError

_RESAMPLE = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
_CHOICES = {
    "space": SPACES,
    "on": ("first", "last"),
    "swapped": ("swap", "error"),
    "outside": ("cut", "error"),
    "small": ("grow", "error"),
    "thin": ("grow", "error"),
    "large": ("shrink", "error"),
    "names": ("number", "words"),
    "resample": tuple(_RESAMPLE),
}
_FAR = 1e9
"""Pixels beyond which no picture reaches, and a box is a slip."""

_ORIGINAL, _OBSERVATION = "original_image", "observation_"


@dataclass(frozen=True, kw_only=True)
class Zoom(Tool):
    """Shows a part of a picture, cut from the picture's own pixels.

    Attributes:
        name: What a call names.
        description: What the policy is told it does.
        space: What the numbers of a box are, see :mod:`vt_env.regions`.
        mixed: Whether numbers are pixels of the view where one of them is 1 or more.
        argument: What the box is called in a call.
        point: Whether a call has a point x, y instead; the box is the square around it.
        reach: Half of that square's side, in pixels of the source.
        label: Name of an argument that says what is looked for; empty if there is none.
        label_required: Whether each call must have it.
        picture: Name of the argument that says which view the box is on; empty if there is none.
        names: Whether that is a ``number``, or the ``words`` original_image and observation_1, ….
        first: The number of the first view, 0 or 1.
        on: The view that a box is on where a call does not say: the ``first`` or the ``last``.
        pad: Added on each side, as a share of the picture's own.
        scale: By which the box's sides grow around its centre.
        swapped: Left and right edge, or top and bottom, the wrong way round.
        outside: A box that is partly outside its picture.
        small: A side below ``min_side`` pixels of the source.
        thin: A longer side of more than ``max_aspect`` times the shorter.
        large: A view that has more visual tokens than are left.
        min_side: In pixels of the source.
        max_aspect: At least 1.
        size: Width and height of every view, in pixels; ``None`` follows the box.
        magnify: Pixels of the view for one of the source.
        multiple: What the sides of the view are multiples of.
        min_pixels: A smaller view is enlarged.
        max_pixels: A larger view is shrunk.
        resample: ``lanczos`` or ``bicubic``.

    Raises:
        ConfigError: On a setting that is unknown or out of range.
    """

    # The base class declares these for a class; here each instance has its own.
    name: str = "zoom_in"  # pyright: ignore[reportIncompatibleVariableOverride]
    description: str = "Shows a part of the image."  # pyright: ignore[reportIncompatibleVariableOverride]
    parameters: Mapping[str, Any] = field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]
    space: str = "view"
    mixed: bool = False
    argument: str = "bbox_2d"
    point: bool = False
    reach: float = 0.0
    label: str = ""
    label_required: bool = False
    picture: str = ""
    names: Literal["number", "words"] = "number"
    first: int = 0
    on: Literal["first", "last"] = "first"
    pad: float = 0.0
    scale: float = 1.0
    swapped: Literal["swap", "error"] = "error"
    outside: Literal["cut", "error"] = "cut"
    small: Literal["grow", "error"] = "grow"
    thin: Literal["grow", "error"] = "error"
    large: Literal["shrink", "error"] = "error"
    min_side: int = 1
    max_aspect: float = 200
    size: Sequence[int] | None = None
    magnify: float = 1.0
    multiple: int = 1
    min_pixels: int = 1
    max_pixels: int = 12_845_056
    resample: str = "lanczos"

    def __post_init__(self) -> None:
        for key, known in _CHOICES.items():
            if (value := getattr(self, key)) not in known:
                raise unknown_name(f"{key} of tool {self.name!r}", value, known)
        least = {"magnify": 0.01, "scale": 1, "max_aspect": 1, "min_side": 1, "pad": 0, "reach": 0}
        for key, low in least.items():
            if not low <= (value := getattr(self, key)) < math.inf:
                raise ConfigError(f"tool {self.name!r}: {key} must be {low} or more, got {value}")
        if self.point != (self.reach > 0):
            raise ConfigError(f"tool {self.name!r}: a point needs a reach, and a box has none")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ConfigError(f"tool {self.name!r}: size is [width, height], got {self.size!r}")
        self._fitted((1, 1))  # bounds that leave no room are refused here
        object.__setattr__(self, "parameters", self._schema())

    def _schema(self) -> dict[str, Any]:
        number = 2 if self.point else 4
        what = "x, y of the point" if self.point else "left, top, right, bottom edge of the box"
        properties: dict[str, Any] = {
            self.argument: {
                "type": "array",
                "description": f"{what}: {_TOLD[self.space]}",
                "items": {"type": "number"},
                "minItems": number,
                "maxItems": number,
            }
        }
        if self.label:
            properties[self.label] = {"type": "string", "description": "What is looked for."}
        if self.picture and self.names == "number":
            told = f"Which image, counted from {self.first} in the order shown."
            properties[self.picture] = {"type": "integer", "description": told}
        elif self.picture:
            told = f"{_ORIGINAL}, or {_OBSERVATION}i for the i-th image that a call showed."
            properties[self.picture] = {"type": "string", "description": told}
        optional = {self.label} if not self.label_required else set[str]()
        required = [name for name in properties if name not in optional]
        return {"type": "object", "properties": properties, "required": required}

    def check(self, tokens: Counter) -> None:
        """A family without a size inside the model has no boxes in such pixels."""
        frame(self.space, Region(0, Box.of((56, 56)), (56, 56)), (56, 56), tokens)

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> Result:
        """The part that the numbers say, or why it cannot be shown."""
        view = self._view(scene, arguments)
        region = _region(view)
        notices: list[str] = []
        box = self._asked(self._frame(scene, view, arguments[self.argument]), arguments, notices)
        box = self._inside(box, Box.of(region.of), f"{arguments[self.argument]}", notices)
        size = self._size(scene, box, notices)
        made = scene.pictures[region.picture].crop(
            box, size, resample=_RESAMPLE[self.resample], asked_on=view
        )
        return Result((made,), " ".join(notices))

    def arguments_for(self, scene: Scene, region: Region) -> dict[str, Any]:
        """The arguments of a call for a region: the way back from :meth:`apply`.

        Numbers are rounded outwards, to whole ones where they are no shares; what the tool adds to
        a box (``pad``, ``scale``, least sizes) is not taken off.

        Raises:
            ToolError: If no view that can be named shows the region.
        """
        index = self._showing(scene, region)
        view = scene.views[index]
        edges = region.box.edges
        if self.point:
            edges = (edges[0] + edges[2]) / 2, (edges[1] + edges[3]) / 2
        grain, numbers = 10**6 if self.space == "unit" else 1, list[float]()
        for _ in range(1 + self.mixed):  # shares that reach 1 would be read as pixels, so they are
            numbers = _outward(self._frame(scene, view, numbers).from_source(edges), grain)
        made: dict[str, Any] = {self.argument: numbers}
        if self.label:
            made[self.label] = ""
        if self.picture:
            made[self.picture] = self.called(len(scene.pictures), index)
        return made

    def most(self, scene: Scene) -> tuple[int, int]:
        """The largest view of boxes whose sides go down from the picture's by fifths."""
        found = [0]
        for picture in scene.pictures:
            for width, height in product(*map(_falling, picture.size)):
                with suppress(PictureError):
                    asked = round(width * self.magnify), round(height * self.magnify)
                    found.append(scene.tokens.count(*self._fitted(asked)))
        return 1, max(found)

    def _showing(self, scene: Scene, region: Region) -> int:
        """The first view of which the box can be said that shows all of a region."""
        last = len(scene.views) - 1
        named = range(last + 1) if self.picture else [0 if self.on == "first" else last]
        for index in named:
            shown = scene.views[index].region
            if shown and shown.picture == region.picture:
                inside = region.box.within(shown.box) == region.box
                if inside or self.space == "source":
                    return index
        raise ToolError(f"no image that can be named shows {region.box}")

    def called(self, pictures: int, index: int) -> int | str | None:
        """Its number, or its word; of several originals the others have a number too."""
        if not self.picture:
            return None
        if self.names == "number":
            return index + self.first
        if index >= pictures:
            return f"{_OBSERVATION}{index - pictures + 1}"
        return f"{_ORIGINAL}_{index + 1}" if index else _ORIGINAL

    def _view(self, scene: Scene, arguments: Mapping[str, Any]) -> View:
        """The view that the box is on."""
        if not self.picture:
            return scene.views[0 if self.on == "first" else -1]
        named, views = arguments[self.picture], scene.views
        known = [self.called(len(scene.pictures), index) for index in range(len(views))]
        if named not in known:
            told = f"numbers from {known[0]} to {known[-1]}"
            if self.names == "words":
                told = ", ".join(dict.fromkeys(map(str, known)))
            raise ToolError(f"there is no image {named!r:.40}; the images have the {told}")
        return views[known.index(named)]

    def _frame(self, scene: Scene, view: View, numbers: Sequence[float]) -> Frame:
        pixels = self.mixed and any(number >= 1 for number in numbers)
        space = "view" if pixels else self.space
        try:
            return frame(space, _region(view), view.size, scene.tokens)
        except PictureError as error:
            raise ToolError(str(error)) from error

    def _asked(self, on: Frame, arguments: Mapping[str, Any], notices: list[str]) -> Box:
        """The box as it was asked for, in pixels of the source."""
        found = on.to_source(cast("Sequence[float]", arguments[self.argument]))
        if not all(abs(pixel) < _FAR for pixel in found):
            raise ToolError(f"a number in {arguments[self.argument]} is too large to be a place")
        if self.point:
            return Box(*found, *found).widened(self.reach, self.reach)
        box = Box(*found)
        if box.width < 0 or box.height < 0:
            if self.swapped == "error":
                raise ToolError(f"the box {arguments[self.argument]} ends before it begins")
            left, right = sorted((box.left, box.right))
            top, bottom = sorted((box.top, box.bottom))
            box = Box(left, top, right, bottom)
            notices.append("The edges of the box were put in order.")
        return box

    def _inside(self, box: Box, whole: Box, said: str, notices: list[str]) -> Box:
        """The box of whole pixels that is shown."""
        if self.small == "grow" and not box.whole().area and box.within(whole).area:
            box = box.within(whole).at_least(1, 1, whole)  # less than a pixel, but something
        if not box.whole().within(whole).area:
            raise ToolError(f"the box {said} has no pixel of the image")
        if box.whole().within(whole) != box.whole():
            if self.outside == "error":
                raise ToolError(f"the box {said} reaches beyond the image")
            notices.append("The box was cut at the edge of the image.")
        grown = box.widened(
            self.pad * whole.width + (self.scale - 1) * box.width / 2,
            self.pad * whole.height + (self.scale - 1) * box.height / 2,
        )
        return self._least(grown.whole().within(whole), whole, notices)

    def _least(self, box: Box, whole: Box, notices: list[str]) -> Box:
        """The box, neither too small nor too thin."""
        if min(box.width, box.height) < self.min_side:
            told = f"{box.width:g}x{box.height:g} pixels; each side needs {self.min_side}"
            if self.small == "error" or min(whole.width, whole.height) < self.min_side:
                raise ToolError(f"the box is too small: {told}")
            box = box.at_least(self.min_side, self.min_side, whole).whole()
            notices.append(f"The box was grown to sides of {self.min_side} pixels.")
        if max(box.width, box.height) > self.max_aspect * min(box.width, box.height):
            shorter = math.ceil(max(box.width, box.height) / self.max_aspect)
            if self.thin == "error" or shorter > min(whole.width, whole.height):
                raise ToolError(
                    f"the box is too thin: {box.width:g}x{box.height:g} pixels; one side may be "
                    f"{self.max_aspect:g} times the other"
                )
            box = box.at_least(shorter, shorter, whole).whole()
            notices.append(f"The box was grown to {box.width:g}x{box.height:g} pixels.")
        return box

    def _size(self, scene: Scene, box: Box, notices: list[str]) -> tuple[int, int]:
        """The size of the view, within the bounds and what is left of the budget."""
        try:
            size = self._fitted((round(box.width * self.magnify), round(box.height * self.magnify)))
            left, cost = scene.budget.visual_tokens, scene.tokens.count(*size)
            if left is None or cost <= left:
                return size
            if self.large == "error":
                raise ToolError(f"that would cost {cost} visual tokens, and {left} are left")
            while cost > left and min(size) > 1:
                ratio = min(0.95, math.sqrt(max(left, 1) / cost))
                size = shrunk_size(size, ratio)
                cost = scene.tokens.count(*size)
        except PictureError as error:
            raise ToolError(str(error)) from error
        if cost > left:
            raise ToolError(f"{left} visual tokens are left, and no view has so few")
        notices.append(f"The view was shrunk to {size[0]}x{size[1]} pixels, {cost} visual tokens.")
        return size

    def _fitted(self, size: tuple[int, int]) -> tuple[int, int]:
        if self.size is not None:
            return self.size[0], self.size[1]
        bounds = TokenCounter(self.name, self.multiple, 1, self.min_pixels, self.max_pixels)
        return bounds.resized(max(1, size[0]), max(1, size[1]))


_TOLD = {
    "source": "in pixels of the original image",
    "view": "in pixels of the image as it was shown",
    "model": "in pixels of the image",
    "unit": "shares of the image's sides, from 0 to 1",
    "thousand": "from 0 to 1000 of the image's sides",
}


def _falling(side: int) -> list[int]:
    """A side and smaller ones, each four fifths of the one before, down to 1."""
    sides = [side]
    while sides[-1] > 1:
        sides.append(sides[-1] * 4 // 5)
    return sides


def _outward(numbers: Sequence[float], grain: int) -> list[float]:
    """The numbers of a box rounded so that it grows, to multiples of 1 / grain; a point's nearest.

    What is a hair beyond a multiple is that multiple: a map there and back leaves such hairs.
    """
    if len(numbers) == 2:
        return [round(number * grain) / grain if grain > 1 else round(number) for number in numbers]
    low = [math.floor(number * grain + 1e-4) for number in numbers[:2]]
    high = [math.ceil(number * grain - 1e-4) for number in numbers[2:]]
    return [number / grain if grain > 1 else number for number in (*low, *high)]


def _region(view: View) -> Region:
    if view.region is None:
        raise ToolError("that image is no upright part of an original, so it has no parts to show")
    return view.region
