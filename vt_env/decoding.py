"""Decoding many pictures: on all cores, and kept no longer than somebody needs them."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def at_once(work: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    """What is made of each item, in order, on all cores that this process may use.

    Worth it for work that lets go of the interpreter, as Pillow does while it decodes and resizes.
    The threads end with the call, so that a fork finds none.

    Raises:
        Exception: What the first item in order raised whose work failed.
    """
    if len(items) < 2 or (threads := min(len(items), cores())) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(threads, "pictures") as pool:
        return list(pool.map(work, items))


def cores() -> int:
    """Cores that this process may use."""
    mine = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(mine(0)) if mine else os.cpu_count() or 1


class Recent:
    """Keeps alive what was used last, for owners that hold it weakly.

    Args:
        room: Bytes of all that is kept; what was used last of all is kept at any size.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self._kept: OrderedDict[int, tuple[object, int]] = OrderedDict()
        self._bytes = 0
        self.renew()

    def renew(self) -> None:
        """A lock that nobody holds: a forked process may have got one that stays locked."""
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def use(self, value: object, size: int) -> None:
        """Note a use.

        Args:
            value: What is to stay alive.
            size: Its bytes.
        """
        with self._lock:
            _, known = self._kept.pop(id(value), (None, 0))
            self._kept[id(value)] = value, size
            self._bytes += size - known
            while self._bytes > self.room and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed


RECENT = Recent(256 * 2**20)
"""Whole pictures that nobody is shown: five of twelve megapixels."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=RECENT.renew)
