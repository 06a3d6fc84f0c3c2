"""Visual tokens: how many of them a vision-language model spends on a picture.

Models of the Qwen-VL line resize a picture so that both sides are multiples of
``factor = patch * merge`` and the area lies between two bounds, cut it into patches of
``patch x patch`` pixels, and merge ``merge x merge`` patches into one visual token. So half the
sides are a quarter of the tokens only between the bounds; below the lower one the small picture is
blown up again and may cost as much as the original.

Source: ``smart_resize`` in the Qwen2-VL image processor of Hugging Face transformers, which the
tests compare with; GLM-V's is the same with other bounds. Models of InternVL's kind cut a picture
into tiles of one size instead, as ``get_optimal_tiled_canvas`` in the GOT-OCR2 image processor
does, and Gemma 4 brings every picture to one budget of tokens. Sizes are (width, height) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from vt_env.errors import ConfigError, PictureError
from vt_env.registry import Registry


@dataclass(frozen=True)
class TileCounter:
    """Geometry of a family of InternVL's kind.

    A picture is stretched over the grid of tiles whose shape is nearest to its own, and followed by
    one more tile with the whole of it, unless the grid is a single tile. So a picture of half the
    sides often costs as much as the original: its size only decides between grids of one shape.

    Attributes:
        name: The family.
        tile: Side of a tile in pixels.
        per_tile: Visual tokens of a tile.
        most: Tiles of a grid at most.

    Raises:
        ConfigError: When a value is below 1.
    """

    name: str
    tile: int
    per_tile: int
    most: int

    def __post_init__(self) -> None:
        if min(self.tile, self.per_tile, self.most) < 1:
            raise ConfigError(f"{self.name}: tile, per_tile and most must be 1 or more")

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Columns and rows of tiles.

        Among grids whose shape is equally near, the one with more tiles is taken while the picture
        has more than half of its pixels.

        Raises:
            PictureError: When a side is below 1.
        """
        if min(width, height) < 1:
            raise PictureError(f"expected sides of at least 1 pixel, got {width}x{height}")
        shape, area = width / height, width * height
        best, best_apart = (1, 1), float("inf")
        for columns, rows in self._grids():
            apart = abs(shape - columns / rows)
            roomy = area > 0.5 * self.tile * self.tile * columns * rows
            if apart < best_apart or (apart == best_apart and roomy):
                best, best_apart = (columns, rows), apart
        return best

    def count(self, width: int, height: int) -> int:
        """Visual tokens of one picture, without the marks before and after it."""
        columns, rows = self.grid(width, height)
        tiles = columns * rows
        return (tiles + (tiles > 1)) * self.per_tile

    def _grids(self) -> list[tuple[int, int]]:
        sides = range(1, self.most + 1)
        grids = [(c, r) for c in sides for r in sides if c * r <= self.most]
        return sorted(grids, key=lambda grid: grid[0] * grid[1])


@dataclass(frozen=True)
class BudgetCounter:
    """Geometry of a family of Gemma 4's kind: every picture is brought to a budget, up or down.

    So neither half the sides nor a crop costs less: the lever is the budget, not the size. As
    ``get_aspect_ratio_preserving_size`` in the Gemma 4 image processor.

    Attributes:
        name: The family.
        patch: Side of a patch in pixels.
        pool: Side of a token in patches.
        budget: Visual tokens of a picture at most; the checkpoints know 70, 140, 280, 560 and 1120.

    Raises:
        ConfigError: When a value is below 1.
    """

    name: str
    patch: int
    pool: int
    budget: int

    def __post_init__(self) -> None:
        if min(self.patch, self.pool, self.budget) < 1:
            raise ConfigError(f"{self.name}: patch, pool and budget must be 1 or more")

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """The size inside the model: the largest of its shape within the budget, rounded down.

        Raises:
            PictureError: When a side is below 1, or the picture too thin for the budget.
        """
        if min(width, height) < 1:
            raise PictureError(f"expected sides of at least 1 pixel, got {width}x{height}")
        factor, area = self.patch * self.pool, self.budget * (self.patch * self.pool) ** 2
        scale = math.sqrt(area / (width * height))
        wide = math.floor(scale * width / factor) * factor
        high = math.floor(scale * height / factor) * factor
        if not wide and not high:
            raise PictureError(f"a budget of {self.budget} has no room for {width}x{height} pixels")
        if not high:
            wide, high = min(width // height, self.budget) * factor, factor
        elif not wide:
            wide, high = factor, min(height // width, self.budget) * factor
        return wide, high

    def count(self, width: int, height: int) -> int:
        """Visual tokens of one picture, without the marks before and after it.

        Arguments and errors are those of :meth:`resized`.
        """
        wide, high = self.resized(width, height)
        return wide * high // (self.patch * self.pool) ** 2


MAX_ASPECT = 200
"""Qwen's processors refuse a picture whose longer side is more than this many times the shorter."""


class Counter(Protocol):
    """Whatever counts the visual tokens of a picture."""

    @property
    def name(self) -> str:
        """The family."""
        ...

    def count(self, width: int, height: int) -> int:
        """Visual tokens of a picture of so many pixels."""
        ...


@dataclass(frozen=True)
class TokenCounter:
    """Geometry of one model family's image processor.

    Attributes:
        name: The family.
        patch: Side of a patch in pixels.
        merge: Side of a token in patches.
        min_pixels: A picture with a smaller area is enlarged to at least this one.
        max_pixels: A picture with a larger area is shrunk to at most this one, except where the
            short side is already a single token.
        frames: How often the area counts: GLM-V takes a picture for two frames of a video, and
            first enlarges one that has a side below a token.

    Raises:
        ConfigError: When a value is below 1, or the bounds are the wrong way round or leave no room
            for one token.
    """

    name: str
    patch: int
    merge: int
    min_pixels: int
    max_pixels: int
    frames: int = 1

    def __post_init__(self) -> None:
        for key in ("patch", "merge", "min_pixels", "max_pixels", "frames"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{self.name}: {key} must be 1 or more, got {getattr(self, key)}")
        if self.max_pixels < max(self.min_pixels, self.frames * self.factor**2):
            raise ConfigError(
                f"{self.name}: max_pixels must be at least min_pixels ({self.min_pixels}) and the "
                f"{self.factor**2} pixels of one token, got {self.max_pixels}"
            )

    @property
    def factor(self) -> int:
        """Side of one visual token in pixels: ``patch * merge``."""
        return self.patch * self.merge

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """The size that a picture of ``width`` x ``height`` pixels has inside the model.

        With f = factor, A = frames * width * height and round-half-to-even, each side s becomes

            f * round(s / f)
            max(f, f * floor(s / (f * sqrt(A / max_pixels))))   if that exceeds max_pixels
            f * ceil(s * sqrt(min_pixels / A) / f)              if that falls below min_pixels

        where what exceeds or falls below is ``frames`` times the new area. Boxes that Qwen2.5-VL
        writes are in pixels of this size, not of the original.

        Args:
            width: In pixels.
            height: In pixels.

        Returns:
            Width and height in pixels, multiples of :attr:`factor`.

        Raises:
            PictureError: When a side is below 1 or the aspect ratio above 200:1.
        """
        if min(width, height) < 1:
            raise PictureError(f"expected sides of at least 1 pixel, got {width}x{height}")
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise PictureError(
                f"expected an aspect ratio of at most {MAX_ASPECT}:1, got {width}x{height} pixels; "
                "crop or pad the picture"
            )
        f = self.factor
        if self.frames > 1 and min(width, height) < f:
            scale = max(f / height, f / width)
            width, height = int(width * scale), int(height * scale)
        area = self.frames * width * height
        wide, high = round(width / f) * f, round(height / f) * f
        # The order of the divisions is the processor's: another one rounds differently.
        if self.frames * wide * high > self.max_pixels:
            scale = math.sqrt(area / self.max_pixels)
            wide = max(f, math.floor(width / scale / f) * f)
            high = max(f, math.floor(height / scale / f) * f)
        elif self.frames * wide * high < self.min_pixels:
            scale = math.sqrt(self.min_pixels / area)
            wide = math.ceil(width * scale / f) * f
            high = math.ceil(height * scale / f) * f
        return wide, high

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Patches before merging, (rows, columns): the last two entries of ``image_grid_thw``.

        Arguments and errors are those of :meth:`resized`.
        """
        wide, high = self.resized(width, height)
        return high // self.patch, wide // self.patch

    def count(self, width: int, height: int) -> int:
        """Visual tokens of one picture, without the marks before and after it.

        Arguments and errors are those of :meth:`resized`.
        """
        wide, high = self.resized(width, height)
        return (wide // self.factor) * (high // self.factor)


FAMILIES: dict[str, TokenCounter] = {
    counter.name: counter
    for counter in (
        TokenCounter("qwen2-vl", patch=14, merge=2, min_pixels=3_136, max_pixels=12_845_056),
        TokenCounter("qwen2.5-vl", patch=14, merge=2, min_pixels=3_136, max_pixels=12_845_056),
        TokenCounter("qwen3-vl", patch=16, merge=2, min_pixels=65_536, max_pixels=16_777_216),
        TokenCounter("qwen3.5", patch=16, merge=2, min_pixels=65_536, max_pixels=16_777_216),
        TokenCounter(
            "glm-v", patch=14, merge=2, min_pixels=12_544, max_pixels=11_760_000, frames=2
        ),
        TokenCounter("tiny", patch=4, merge=2, min_pixels=64, max_pixels=65_536),
    )
}
"""By name, with the bounds of the released checkpoints (their ``preprocessor_config.json``); those
of GLM-V are its processor class's.

Qwen's processor *class* has other defaults (at most 1,003,520 pixels): what a run uses is what its
checkpoint says. ``tiny`` is for small models on 32x32 pictures: 16 tokens, and 4 at half the sides.
"""


def family_in(name: str) -> str | None:
    """The family that a model's name or path says, as in ``vllm:Qwen/Qwen3-VL-8B-Instruct``."""
    plain = name.lower().replace("_", "-")
    return next((family for family in FAMILIES if f"{family}-" in f"{plain}-"), None)


def _bounded(family: TokenCounter) -> Callable[..., TokenCounter]:
    def make(
        *, min_pixels: int = family.min_pixels, max_pixels: int = family.max_pixels
    ) -> TokenCounter:
        return replace(family, min_pixels=min_pixels, max_pixels=max_pixels)

    return make


def _internvl(*, tile: int = 448, per_tile: int = 256, most: int = 12) -> TileCounter:
    """The geometry of InternVL's released checkpoints."""
    return TileCounter("internvl", tile, per_tile, most)


def _gemma(*, budget: int = 280) -> BudgetCounter:
    """The geometry of Gemma 4's released checkpoints."""
    return BudgetCounter("gemma-4", 16, 3, budget)


COUNTERS: Registry[Counter] = Registry(
    "visual-token family",
    "vt.families",
    {
        **{name: _bounded(family) for name, family in FAMILIES.items()},
        "internvl": _internvl,
        "gemma-4": _gemma,
        "hf": "vt_env.hf_tokens:ProcessorCounter",
    },
)


def token_counter(spec: str) -> Counter:
    """A family's counter, with other bounds where they are given.

    Args:
        spec: A name in :data:`COUNTERS`, then optionally a colon and bounds:
            ``"qwen2.5-vl:min_pixels=3136,max_pixels=1003520"``, ``"internvl:most=6"``; or
            ``"hf:FOLDER"``, a checkpoint whose processor is asked, see :mod:`vt_env.hf_tokens`.

    Raises:
        ConfigError: On an unknown family or option, a repeated option, or a bad value.
        MissingExtra: If ``hf:`` lacks transformers.
    """
    return COUNTERS.from_spec(spec)
