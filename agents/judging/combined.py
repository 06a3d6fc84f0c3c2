"""What judges that ask other judges have in common: ``cascade``, ``panel`` and ``noisy``."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from vt_env.judges import Judge, Query, UsageLike


class CombinedJudge(Judge):
    """A judge that asks others: it begins, counts and closes as they do.

    Args:
        judges: The others.
    """

    def __init__(self, *judges: Judge) -> None:
        self.judges = judges

    def begin(self, queries: Sequence[Query]) -> None:
        """Have all of them begin that can."""
        for judge in self.judges:
            judge.begin(queries)

    @property
    def usage(self) -> UsageLike | None:
        """What all of them took together; ``None`` if none counts."""
        counted = [usage for judge in self.judges if (usage := judge.usage) is not None]
        return functools.reduce(operator.add, counted) if counted else None

    def close(self) -> None:
        """Close all of them."""
        for judge in self.judges:
            judge.close()
