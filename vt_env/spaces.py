"""Spaces that Gymnasium lacks: pictures of any size, and turns of a conversation.

``Text`` is alphanumeric by default and slow with all of Unicode, and a ``Box`` needs one size and
megabytes of bounds. These two hold what really flows, pass ``check_env`` and work in
``SyncVectorEnv`` and ``AsyncVectorEnv(shared_memory=False)``.
"""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from vt_env.actions import ToolCall

_SAMPLED_TURNS = (
    "<think>It is plain to see.</think>\n<answer>{}</answer>",
    '<think>Too small: {}</think>\n<tool_call>{{"name": "resize_image", "arguments": '
    '{{"action": "resize"}}}}</tool_call>',
    "{}",
)
_SAMPLED_CHARACTERS = "abcxyz ABC 0123 .,:%$ äßé дж 中文 <>{}|\n"


class ImageSpace(gym.Space[NDArray[np.uint8]]):
    """RGB pictures of any size: uint8 [H, W, 3] with H, W ≥ 1."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=np.uint8, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Sizes differ, so no."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> NDArray[np.uint8]:
        """A small random picture."""
        height, width = self.np_random.integers(1, 65, size=2)
        return self.np_random.integers(0, 256, (height, width, 3), dtype=np.uint8)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a uint8 array [H, W, 3] with at least one pixel."""
        if not isinstance(x, np.ndarray):
            return False
        array = cast("NDArray[Any]", x)
        shape = array.shape
        return array.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageSpace)

    def __repr__(self) -> str:
        return "ImageSpace()"


class UnicodeText(gym.Space[str]):
    """Any Python string, also empty."""

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Lengths differ, so no."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Up to 40 random characters of several scripts."""
        length = self.np_random.integers(0, 41)
        picked = self.np_random.integers(0, len(_SAMPLED_CHARACTERS), length)
        return "".join(_SAMPLED_CHARACTERS[i] for i in picked)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string."""
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Turn(UnicodeText):
    """Actions: a turn as text, or a :class:`~vt_env.actions.ToolCall`.

    Samples are answers, requests and nonsense in equal parts, so that random play reaches every
    branch of an episode.
    """

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random turn."""
        form = _SAMPLED_TURNS[self.np_random.integers(len(_SAMPLED_TURNS))]
        return form.format(super().sample())

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string or a tool call."""
        return isinstance(x, str | ToolCall)
