"""Equal numbers of each class, chosen by chance and the same every time.

A sample's lot is a hash of the seed and its id; of each class the lowest lots are taken. That is
a draw without replacement which needs no more memory than what it keeps, and does not depend on
the order of the data: with more data, or a larger size, the choice only changes where it must.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from experiments.preparation.log import PLAYED
from experiments.preparation.rule import CLASSES, LOW_ENOUGH, NEEDS_HIGH, Arm, Rule
from vt_env import ConfigError
from vt_env.errors import unknown_name

PER_CLASS = 10_000
"""Samples of each class (paper: Sec. 3.5)."""


def class_of(row: Mapping[str, Any], rule: Rule) -> str | None:
    """The class of a sample that was rolled out; ``None`` where judgements are missing."""
    return rule.of(Arm.of(row["low"]), Arm.of(row["full"]))


def lot(seed: int, sample_id: str) -> int:
    """A sample's lot: 64 bits."""
    text = f"{seed} {sample_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


class LowestLots:
    """The places of the lowest lots of a stream.

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._kept: list[tuple[int, int]] = []

    def add(self, drawn: int, place: int) -> None:
        """Offer one."""
        if len(self._kept) < self.most:
            heapq.heappush(self._kept, (-drawn, -place))
        else:
            heapq.heappushpop(self._kept, (-drawn, -place))

    def __len__(self) -> int:
        return len(self._kept)

    def places(self, count: int) -> list[int]:
        """The places of the ``count`` lowest lots, in ascending order."""
        lowest = heapq.nlargest(count, self._kept)
        return sorted(-place for _, place in lowest)


@dataclass(frozen=True, slots=True)
class Balance:
    """How many of which classes are kept.

    Attributes:
        classes: Which (paper: ``low_enough`` and ``needs_high``).
        per_class: At most so many of each.
        equal: Whether each is cut to what the smallest of them has.
        seed: Of the draw.

    Raises:
        ConfigError: On an unknown class, none, one twice, or a size below 1.
    """

    classes: tuple[str, ...] = (LOW_ENOUGH, NEEDS_HIGH)
    per_class: int = PER_CLASS
    equal: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.classes:
            if name not in CLASSES:
                raise unknown_name("class", name, CLASSES)
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ConfigError(f"classes are some of {', '.join(CLASSES)}, each once")
        if self.per_class < 1:
            raise ConfigError(f"per_class must be at least 1, got {self.per_class}")

    def choose(self, rows: Iterable[Mapping[str, Any]], rule: Rule) -> dict[str, list[int]]:
        """Places in the source by class, ascending.

        Args:
            rows: All of ``rollouts.jsonl``, read once.
            rule: Says of which class they are.
        """
        kept = {name: LowestLots(self.per_class) for name in self.classes}
        for row in rows:
            if row["status"] == PLAYED and (name := class_of(row, rule)) in kept:
                kept[name].add(lot(self.seed, row["id"]), row["n"])
        least = min(len(lots) for lots in kept.values())
        return {
            name: lots.places(least if self.equal else len(lots)) for name, lots in kept.items()
        }
