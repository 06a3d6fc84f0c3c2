"""Qwen's line, and GLM-V: pictures in any number of patches, and positions in three dimensions.

Text advances all three by one. The tokens of a picture share the time at which it begins, and
spread over height and width; what follows begins after its longer side (M-RoPE). As in
``Qwen2_5_VLModel.get_rope_index`` (arXiv 2409.12191, section 2.1), but for any stretch of a
sequence, so that a cached conversation can be continued.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from agents.models.vlm import VisionLanguageModel
from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.tokens import TokenCounter

Grid = tuple[int, int]
"""Rows and columns of visual tokens (after merging)."""


def positions(
    ids: Sequence[int], image_id: int, grids: Sequence[Grid], start: int = 0
) -> tuple[NDArray[np.int64], int]:
    """Positions of a stretch of tokens.

    Args:
        ids: The tokens; every picture is a run of ``image_id``.
        image_id: The token that stands for a visual token.
        grids: One for each picture in ``ids``, in order.
        start: Position of the first token.

    Returns:
        int64 [3, tokens], and the position of the token that follows.

    Raises:
        ValueError: If the image tokens are not those of the pictures.
    """
    tokens = np.asarray(ids, np.int64)
    found = np.flatnonzero(tokens == image_id)
    if len(found) != sum(rows * columns for rows, columns in grids):
        raise ValueError(f"{len(found)} image tokens for pictures of {list(grids)} tokens")
    made = np.empty((3, len(tokens)), np.int64)
    at, position, seen = 0, start, 0
    for rows, columns in grids:
        begin = int(found[seen])
        seen += rows * columns
        end = begin + rows * columns
        made[:, at:begin] = np.arange(position, position + begin - at)
        position += begin - at
        made[0, begin:end] = position
        made[1, begin:end] = position + np.repeat(np.arange(rows), columns)
        made[2, begin:end] = position + np.tile(np.arange(columns), rows)
        position += max(rows, columns)
        at = end
    made[:, at:] = np.arange(position, position + len(tokens) - at)
    return made, position + len(tokens) - at


def counter_of(processor: Any) -> TokenCounter:
    """How an image processor that cuts patches sizes pictures; GLM-V's counts the frames too."""
    frames = processor.temporal_patch_size if type(processor).__name__.startswith("Glm") else 1
    return TokenCounter(
        "checkpoint",
        patch=processor.patch_size,
        merge=processor.merge_size,
        min_pixels=processor.size["shortest_edge"],
        max_pixels=processor.size["longest_edge"],
        frames=frames,
    )


def patches(processor: Any, views: Sequence[View]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the processor makes of some views.

    Views that need no resizing are cut here, all of one size at once: the same numbers, many times
    faster on small pictures.

    Args:
        processor: An image processor of Qwen's line, or GLM-V's.
        views: One or more.

    Returns:
        Patches, float32 [all patches, 3 * temporal patch * patch * patch], and the grids,
        int64 [views, 3]: time, rows and columns of patches.

    Raises:
        ConfigError: If the processor does not make the grids that were counted.
    """
    counter = counter_of(processor)
    grids = torch.tensor([[1, *counter.grid(*view.size)] for view in views])
    plain = processor.do_rescale and processor.do_normalize
    if not plain or any(counter.resized(*view.size) != view.size for view in views):
        made = processor(images=[view.image for view in views], return_tensors="pt")
        if not torch.equal(made["image_grid_thw"], grids):
            raise ConfigError(
                f"the image processor cut pictures into {made['image_grid_thw'].tolist()} patches "
                f"where {grids.tolist()} were counted; are its sizes overridden somewhere?"
            )
        return made["pixel_values"], grids
    if len({view.size for view in views}) == 1:
        return _cut(processor, views).flatten(0, 1), grids
    by_size: dict[tuple[int, int], list[int]] = {}
    for index, view in enumerate(views):
        by_size.setdefault(view.size, []).append(index)
    pieces: dict[int, torch.Tensor] = {}
    for indices in by_size.values():
        cut = _cut(processor, [views[index] for index in indices])
        pieces.update(zip(indices, cut, strict=True))
    return torch.cat([pieces[index] for index in range(len(views))]), grids


def _cut(processor: Any, views: Sequence[View]) -> torch.Tensor:
    """Patches of views of one size: float32 [views, patches, values].

    The merge x merge patches that become one visual token stand together.
    """
    patch, merge = processor.patch_size, processor.merge_size
    pixels = torch.from_numpy(np.stack([view.array for view in views])).float()
    mean, deviation = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    pixels = (pixels * processor.rescale_factor - mean) / deviation
    number, height, width, channels = pixels.shape
    rows, columns = height // (merge * patch), width // (merge * patch)
    pixels = pixels.view(number, rows, merge, patch, columns, merge, patch, channels)
    pixels = pixels.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6)
    times = processor.temporal_patch_size
    repeated = pixels.expand(*pixels.shape[:6], times, patch, patch)
    return repeated.reshape(number, rows * columns * merge**2, channels * times * patch**2)


class QwenVL(VisionLanguageModel):
    """A model of type ``qwen2_vl``, ``qwen2_5_vl``, ``qwen3_vl`` or ``qwen3_5``."""

    families: ClassVar[Sequence[str]] = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")
    pillow_processor: ClassVar[str] = "Qwen2VLImageProcessorPil"

    @cached_property
    def counter(self) -> TokenCounter:
        """How the image processor sizes pictures."""
        return counter_of(self.image_processor)

    def grid(self, view: View) -> tuple[int, int]:
        """Rows and columns of the visual tokens of a view."""
        rows, columns = self.counter.grid(*view.size)
        return rows // self.counter.merge, columns // self.counter.merge

    def count(self, view: View) -> int:
        """Visual tokens of a view."""
        return self.counter.count(*view.size)

    def positions(
        self, ids: Sequence[int], views: Sequence[View], start: int = 0
    ) -> tuple[NDArray[np.int64], int]:
        """See :func:`agents.models.qwen.positions`."""
        return positions(ids, self.image_id, [self.grid(view) for view in views], start)

    def _encoder(self) -> Sequence[torch.nn.Module]:
        return (self.model.model.visual,)

    def _encoded(self, views: Sequence[View]) -> torch.Tensor:
        pixels, grids = patches(self.image_processor, views)
        made = self.model.get_image_features(
            pixels.to(self.device), grids.to(self.device), return_dict=True
        )
        layers = [made.pooler_output, *(getattr(made, "deepstack_features", None) or [])]
        return torch.cat([_together(layer) for layer in layers], -1)


class GlmV(QwenVL):
    """A model of type ``glm4v`` (GLM-4.1V) or ``glm46v`` (GLM-4.6V-Flash)."""

    families: ClassVar[Sequence[str]] = ("glm4v", "glm46v")
    pillow_processor: ClassVar[str] = "Glm4vImageProcessorPil"


def _together(pieces: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Features of all views; some versions of transformers have cut them into views, some not."""
    return pieces if isinstance(pieces, torch.Tensor) else torch.cat(list(pieces))
