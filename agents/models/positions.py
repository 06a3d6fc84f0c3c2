"""Multimodal rotary positions (M-RoPE): where a token stands in time, height and width.

Text advances all three by one. The tokens of a picture share the time at which it begins, and
spread over height and width; what follows begins after its longer side. As in
``Qwen2_5_VLModel.get_rope_index`` (arXiv 2409.12191, section 2.1), but for any stretch of a
sequence, so that a cached conversation can be continued.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
