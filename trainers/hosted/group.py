"""Rollouts of one question that finish together.

A library asks for the rollouts of a prompt by as many calls in one process, on one event loop, so
they can wait for each other: the penalty of one depends on all. They know each other by a key that
no other prompt in flight has, so equal prompts never mix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Group(Generic[T, R]):
    """The rollouts of one request.

    Attributes:
        key: What they share.
        keep: Held while they live; where the key is an object's identity, it is not given away.
        size: Rollouts that have entered.

    Args:
        key: What they share.
        finish: Called once, with what each rollout that did not fail left, by its place.
        keep: What to hold.
    """

    def __init__(
        self,
        key: Hashable,
        finish: Callable[[Mapping[int, T]], Awaitable[Mapping[int, R]]],
        keep: object = None,
    ) -> None:
        self.key = key
        self.keep = keep
        self.size = 0
        self._inside = 0
        self._left: dict[int, T] = {}
        self._finish = finish
        self._first: asyncio.Future[Any] | None = None
        self._last: asyncio.Future[Mapping[int, R]] = asyncio.get_running_loop().create_future()

    def enter(self) -> int:
        """A rollout begins; its place, from 0."""
        self.size += 1
        self._inside += 1
        return self.size - 1

    async def once(self, make: Callable[[], Awaitable[Any]]) -> Any:
        """What the first to ask makes for all."""
        if self._first is None:
            self._first = asyncio.ensure_future(make())
        return await asyncio.shield(self._first)

    def leave(self, place: int, left: T | None) -> bool:
        """A rollout ends; ``None`` if it failed. Whether it was the last."""
        self._inside -= 1
        if left is not None:
            self._left[place] = left
        if self._inside == 0:
            task = asyncio.ensure_future(self._finish(self._left))
            task.add_done_callback(self._settle)
        return self._inside == 0

    async def outcome(self, place: int) -> R:
        """What ``finish`` made of a rollout, once all have ended."""
        return (await asyncio.shield(self._last))[place]

    def _settle(self, task: asyncio.Future[Mapping[int, R]]) -> None:
        if error := task.exception():
            self._last.set_exception(error)
            self._last.exception()  # nobody may be left to hear of it
        else:
            self._last.set_result(task.result())


class Groups(Generic[T, R]):
    """The groups in flight, by what their rollouts share."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Group[T, R]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def join(
        self,
        key: Hashable,
        finish: Callable[[Mapping[int, T]], Awaitable[Mapping[int, R]]],
        keep: object = None,
    ) -> tuple[Group[T, R], int]:
        """Enter the group of a key, or begin it; the group and the place in it."""
        group = self._by_key.get(key)
        if group is None:
            group = self._by_key[key] = Group(key, finish, keep)
        return group, group.enter()

    def leave(self, group: Group[T, R], place: int, left: T | None) -> None:
        """Leave it; the last one takes it away."""
        if group.leave(place, left):
            del self._by_key[group.key]
