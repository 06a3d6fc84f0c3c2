"""What judges remember: the newest answers of a computation, by a hash of what decides them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from hashlib import blake2b
from typing import Generic, TypeVar

from vt_env.judges.base import Query

T = TypeVar("T")
REMEMBERED = 65_536
"""Entries that are kept, some 300 to 600 bytes each."""


def digest(texts: Iterable[str], size: int = 16) -> bytes:
    """A hash of ``size`` bytes of any texts, which tells where each begins."""
    made = blake2b(digest_size=size)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        made.update(len(data).to_bytes(8, "big") + data)
    return made.digest()


def fingerprint(query: Query) -> bytes:
    """The hash of what decides a query's verdict: everything but the rollout."""
    texts = (query.question, query.answer, query.answer_type, str(len(query.references)))
    return digest((*texts, *query.references, *query.choices))


class Recent(Generic[T]):
    """A table of at most ``most`` entries that forgets the oldest first.

    Threads may share it without a lock, since each step on the table is one operation.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._entries: OrderedDict[bytes, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> T | None:
        """What is remembered, or ``None``."""
        return self._entries.get(key)

    def add(self, key: bytes, value: T) -> None:
        """Remember a value, and forget the oldest ones beyond the bound."""
        self._entries[key] = value
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
