"""Pictures on their way from the engine that showed them to the learners: once a group, as pixels.

A vision encoder takes patches in float32, eight times the bytes of the pixels that they are cut
from (four times for each number, twice for the frames of a video that a picture is made into), and
every rollout of a question shows the same views. So what travels is each view of a group once, as
uint8 [H, W, 3] in Ray's object store, and patches are cut where a model reads them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image

from agents.models import VisionLanguageModel
from agents.models.loading import load_processor
from agents.models.qwen import patches
from vt_env.pictures import View


class LatePictures(Mapping[str, torch.Tensor]):
    """What a vision encoder takes of some views, made when it is asked for.

    Args:
        model: The checkpoint whose processor cuts.
        pixels: The views: uint8 [H, W, 3] each, or Ray's references to such arrays.
    """

    def __init__(self, model: str, pixels: Sequence[Any]) -> None:
        self.model = model
        self.pixels = list(pixels)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._made()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(("pixel_values", "image_grid_thw") if self.pixels else ())

    def __len__(self) -> int:
        return 2 if self.pixels else 0

    def items(self) -> Any:
        """All tensors, of which the patches are cut once."""
        return self._made().items()

    def _made(self) -> dict[str, torch.Tensor]:
        if not self.pixels:
            return {}
        views = [View(Image.fromarray(array), "sent") for array in _fetched(self.pixels)]
        pixels, grids = patches(_processor(self.model).image_processor, views)
        return {"pixel_values": pixels, "image_grid_thw": grids}


class Sender:
    """Puts views where learners find them, each once, however many rollouts show it.

    Args:
        model: The checkpoint whose processor cuts.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._sent: WeakKeyDictionary[View, Any] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def send(self, views: Sequence[View]) -> LatePictures:
        """What a rollout's learner is given; call it where Ray may be waited for."""
        with self._lock:
            for view in views:
                if view not in self._sent:
                    self._sent[view] = _put(view.array)
            return LatePictures(self.model, [self._sent[view] for view in views])


def _put(array: np.ndarray) -> Any:
    """A reference to an array in Ray's store; the array where there is no Ray."""
    ray = _ray()
    return array if ray is None else ray.put(array)


def _fetched(pixels: Sequence[Any]) -> list[np.ndarray]:
    """The arrays themselves."""
    there = {at: item for at, item in enumerate(pixels) if not isinstance(item, np.ndarray)}
    if not there:
        return list(pixels)
    import ray  # pyright: ignore[reportMissingImports] - whoever sent a reference has it

    found = dict(zip(there, ray.get(list(there.values())), strict=True))
    return [found.get(at, item) for at, item in enumerate(pixels)]


def _ray() -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return ray if ray.is_initialized() else None


@lru_cache(maxsize=2)
def _processor(model: str) -> VisionLanguageModel:
    return load_processor(model)
