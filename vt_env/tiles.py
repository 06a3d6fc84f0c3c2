"""Visual tokens of model families that cut a picture into tiles of one size.

Source: ``get_optimal_tiled_canvas`` in the GOT-OCR2 image processor of Hugging Face transformers,
which InternVL uses, and which the tests compare with. Sizes are (width, height) in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from vt_env.errors import ConfigError, PictureError


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
    tile: int = 448
    per_tile: int = 256
    most: int = 12

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
