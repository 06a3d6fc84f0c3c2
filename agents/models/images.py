"""Views as the patches that a Qwen vision encoder takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.tokens import TokenCounter


def counter_of(processor: Any) -> TokenCounter:
    """How an image processor of the Qwen family sizes pictures."""
    return TokenCounter(
        "checkpoint",
        patch=processor.patch_size,
        merge=processor.merge_size,
        min_pixels=processor.size["shortest_edge"],
        max_pixels=processor.size["longest_edge"],
    )


def patches(processor: Any, views: Sequence[View]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the processor makes of some views.

    Views that need no resizing are cut here, all of one size at once: the same numbers, many times
    faster on small pictures.

    Args:
        processor: An image processor of the Qwen family.
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
