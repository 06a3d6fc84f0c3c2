"""VisionThink's tool: the picture at its original resolution."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.regions import Box, Region
from vt_env.tools.base import Result, Scene, Tool, ToolError


@dataclass(frozen=True)
class NamedParts(Tool):
    """Shows one or several named parts of the picture in its own pixels (AwaRes, 2603.16932).

    Attributes:
        name: What a call names.
        description: What the policy is told it does.
        parts: Name to left, top, right and bottom edge, as shares of the sides.

    Raises:
        ConfigError: If there are no parts, or one is no part of a picture.
    """

    name: str = "get_crops"  # pyright: ignore[reportIncompatibleVariableOverride] - of an instance
    description: str = "Shows parts of the image."  # pyright: ignore[reportIncompatibleVariableOverride]
    parts: Mapping[str, tuple[float, float, float, float]] = field(
        default_factory=dict[str, tuple[float, float, float, float]]
    )
    parameters: Mapping[str, Any] = field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        for name, edges in self.parts.items():
            if len(edges) != 4 or not (
                0 <= edges[0] < edges[2] <= 1 and 0 <= edges[1] < edges[3] <= 1
            ):
                raise ConfigError(f"the part {name!r} must be shares [left, top, right, bottom]")
        if not self.parts:
            raise ConfigError("named parts need at least one part")
        items = {"type": "string", "enum": list(self.parts)}
        schema = {"type": "array", "items": items, "minItems": 1, "maxItems": len(self.parts)}
        object.__setattr__(
            self,
            "parameters",
            {"type": "object", "properties": {"items": schema}, "required": ["items"]},
        )

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> Result:
        """The parts in the order of the call, each once."""
        picture = scene.picture
        width, height = picture.size
        views = [
            picture.crop(self._box(name, (width, height)), asked_on=scene.views[0])
            for name in dict.fromkeys(cast("list[str]", arguments["items"]))
        ]
        return Result(tuple(views))

    def most(self, scene: Scene) -> tuple[int, int]:
        """All parts in one call; one that is empty costs nothing."""
        size = scene.picture.size
        tokens = 0
        for name in self.parts:
            with suppress(ToolError):
                box = self._box(name, size)
                tokens += scene.tokens.count(int(box.width), int(box.height))
        return len(self.parts), tokens

    def _box(self, name: str, size: tuple[int, int]) -> Box:
        left, top, right, bottom = self.parts[name]
        box = Box(left * size[0], top * size[1], right * size[0], bottom * size[1]).whole()
        if not box.area:
            raise ToolError(f"the part {name!r} of a picture of {size[0]}x{size[1]} is empty")
        return box

    def arguments_for(self, scene: Scene, region: Region) -> dict[str, Any]:
        """The smallest part that holds a region, or the one that holds most of it."""
        size = scene.pictures[region.picture].size
        boxes = {name: self._box(name, size) for name in self.parts}
        best = max(boxes, key=lambda name: (boxes[name].within(region.box).area, -boxes[name].area))
        return {"items": [best]}


class ResizeImage(Tool):
    """The paper's tool: shows the picture, or all of several, at the original resolution."""

    name = "resize_image"
    description = (
        "Shows the image at its original resolution. The image you were given has been shrunk; "
        "call this when details that you need cannot be made out in it."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "action": {
                "type": "string",
                "enum": ["resize"],
                "description": "`resize` brings the original resolution.",
            }
        },
        "required": ["action"],
    }

    def apply(self, scene: Scene, arguments: Mapping[str, Any]) -> Result | View | str:
        """The originals, once."""
        if scene.views[-1] is scene.pictures[-1].original:
            raise ToolError("the image is shown at its original resolution already")
        return Result(tuple(picture.original for picture in scene.pictures))

    def most(self, scene: Scene) -> tuple[int, int]:
        """All originals."""
        return len(scene.pictures), sum(scene.tokens.count(*p.size) for p in scene.pictures)
