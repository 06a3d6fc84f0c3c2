"""Spaces that Gymnasium lacks: pictures of any size, and turns of a conversation.

``Text`` is alphanumeric by default and slow with all of Unicode, and a ``Box`` needs one size and
megabytes of bounds. These two hold what really flows, pass ``check_env`` and work in
``SyncVectorEnv`` and ``AsyncVectorEnv(shared_memory=False)``; what has no fixed size has no place
in shared memory.
"""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import (
    create_shared_memory,  # pyright: ignore[reportUnknownVariableType]
)
from numpy.typing import NDArray

from vt_env.actions import NoTurn, ToolCall
from vt_env.errors import ConfigError

T = TypeVar("T")
_SAMPLED_TURNS = (
    "<think>It is plain to see.</think>\n<answer>{}</answer>",
    '<think>Too small: {}</think>\n<tool_call>{{"name": "resize_image", "arguments": '
    '{{"action": "resize"}}}}</tool_call>',
    "{}",
)
_SAMPLED_CHARACTERS = "abcxyz ABC 0123 .,:%$ äßé дж 中文 <>{}|\n"


class _AnySize(gym.Space[T]):
    """A space whose elements have no one size; all of a kind are equal."""

    kind: type = str

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=self.kind, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Sizes differ, so no."""
        return False

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ImageSpace(_AnySize[NDArray[np.uint8]]):
    """RGB pictures of any size: uint8 [H, W, 3] with H, W ≥ 1."""

    kind = np.uint8

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


class UnicodeText(_AnySize[str]):
    """Any Python string, also empty."""

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Up to 40 random characters of several scripts."""
        length = self.np_random.integers(0, 41)
        picked = self.np_random.integers(0, len(_SAMPLED_CHARACTERS), length)
        return "".join(_SAMPLED_CHARACTERS[i] for i in picked)

    def contains(self, x: Any) -> bool:
        """Whether ``x`` is a string."""
        return isinstance(x, str)


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
        """Whether ``x`` is a string, a tool call, or stands for a turn that could not be had."""
        return isinstance(x, str | ToolCall | NoTurn)


@create_shared_memory.register(ImageSpace)
@create_shared_memory.register(UnicodeText)
def _no_shared_memory(*_: Any, **__: Any) -> NoReturn:
    raise ConfigError(
        "pictures and texts of any size cannot lie in shared memory: give shared_memory=False to "
        "AsyncVectorEnv, or vector_kwargs={'shared_memory': False} to gym.make_vec"
    )
