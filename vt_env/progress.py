"""A line now and then about how far something long is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

EVERY = 10.0
"""Seconds between two lines."""


def told(items: Iterable[Item], total: int, what: str, logger: logging.Logger) -> Iterator[Item]:
    """The items, and lines such as ``1,200 of 20,000 pictures are looked at``.

    Args:
        items: What is worked on as it is yielded.
        total: How many there are.
        what: The end of the line.
        logger: Who tells it.
    """
    last, begun = time.monotonic(), False
    for done, item in enumerate(items, 1):
        yield item
        if time.monotonic() - last > EVERY or (begun and done == total):
            last, begun = time.monotonic(), True
            logger.info("%s of %s %s", f"{done:,}", f"{total:,}", what)
