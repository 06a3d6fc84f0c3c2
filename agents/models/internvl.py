"""InternVL: pictures cut into tiles, and positions in one dimension.

A picture is stretched over the grid of tiles whose shape is nearest to its own, and followed by the
whole picture as one more tile. Each tile is a fixed number of visual tokens, so a picture of half
the sides often costs as many as the original: only where two grids are equally near does the size
decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from agents.models.vlm import VisionLanguageModel
from vt_env.errors import ConfigError
from vt_env.pictures import View

_CUT: dict[str, Any] = {"crop_to_patches": True}
"""The family's processor sets it, against the default of the image processor."""


class InternVL(VisionLanguageModel):
    """A model of type ``internvl``: the checkpoints whose names end in ``-hf``."""

    families: ClassVar[Sequence[str]] = ("internvl",)
    pillow_processor: ClassVar[str] = "GotOcr2ImageProcessorPil"

    def _around(self) -> tuple[int, int]:
        words = self.tokenizer.get_vocab()
        names = (("start_image_token", "<img>"), ("end_image_token", "</img>"))
        begin, end = (words.get(getattr(self.tokenizer, name, word)) for name, word in names)
        if begin is None or end is None:
            raise ConfigError("the tokenizer has no tokens that begin and end a picture")
        return begin, end

    def _tiles(self, view: View) -> int:
        width, height = view.size
        return self.image_processor.get_number_of_image_patches(height, width, dict(_CUT))

    def count(self, view: View) -> int:
        """Visual tokens of a view."""
        return self._tiles(view) * self.model.config.image_seq_length

    def positions(
        self, ids: Sequence[int], views: Sequence[View], start: int = 0
    ) -> tuple[NDArray[np.int64], int]:
        """One after the other, pictures like words; the same in all three dimensions.

        Raises:
            ValueError: If the image tokens are not those of the pictures.
        """
        found, due = list(ids).count(self.image_id), sum(map(self.count, views))
        if found != due:
            raise ValueError(f"{found} image tokens for pictures of {due}")
        line = np.arange(start, start + len(ids), dtype=np.int64)
        return np.broadcast_to(line, (3, len(ids))).copy(), start + len(ids)

    def _position_ids(self, positions: torch.Tensor) -> torch.Tensor:
        return positions[0]

    def _encoder(self) -> Sequence[torch.nn.Module]:
        return self.model.model.vision_tower, self.model.model.multi_modal_projector

    def _encoded(self, views: Sequence[View]) -> torch.Tensor:
        made = self.image_processor(
            images=[view.image for view in views], return_tensors="pt", **_CUT
        )
        tiles, config = made["pixel_values"], self.model.config
        if len(tiles) != sum(map(self._tiles, views)):
            raise ConfigError(f"the image processor made {len(tiles)} tiles, not those counted")
        seen = self.model.get_image_features(
            pixel_values=tiles.to(self.device),
            vision_feature_layer=config.vision_feature_layer,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            return_dict=True,
        ).pooler_output
        if seen.shape[1] != config.image_seq_length:
            raise ConfigError(
                f"the encoder makes {seen.shape[1]} tokens of a tile where image_seq_length is "
                f"{config.image_seq_length}"
            )
        return seen.flatten(0, 1)
