"""From success counts at two resolutions to a class of difficulty.

arXiv 2507.13348, Sec. 3.5: a sample is rolled out 8 times at each resolution at temperature 1. All
8 right at both: the low resolution is enough. At least 6 more right at the full resolution: it
needs the full one. 10,000 of each are kept, and nothing of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vt_env import ConfigError

LOW_ENOUGH, NEEDS_HIGH, REST = "low_enough", "needs_high", "rest"
CLASSES = (LOW_ENOUGH, NEEDS_HIGH, REST)
"""Low is enough; needs the full resolution; neither can be said."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What the judge said of one sample's rollouts at one resolution.

    Attributes:
        right: Rollouts judged correct.
        unscored: Rollouts of which no judgement could be had.
        rollouts: All of them.
    """

    right: int
    unscored: int
    rollouts: int

    @classmethod
    def of(cls, rollouts: Sequence[Mapping[str, Any]]) -> Arm:
        """The counts of rollouts as ``rollouts.jsonl`` has them."""
        verdicts = [rollout["correct"] for rollout in rollouts]
        return cls(
            sum(v is True for v in verdicts), sum(v is None for v in verdicts), len(verdicts)
        )

    @property
    def possible(self) -> range:
        """How many can be right: the unscored ones may be right or wrong."""
        return range(self.right, self.right + self.unscored + 1)

    def row(self) -> dict[str, int]:
        """As written into data: right and scored rollouts."""
        return {"right": self.right, "scored": self.rollouts - self.unscored}


@dataclass(frozen=True, slots=True)
class Rule:
    """When a sample is of which class.

    Attributes:
        rollouts: Rollouts at each resolution (paper: 8).
        enough: ``low_enough``: at least so many are right at both (paper: all).
        gap: ``needs_high``: at least so many more are right at the full resolution (paper: 6).

    Raises:
        ConfigError: On a number out of range, or if a sample could be of both classes.
    """

    rollouts: int = 8
    enough: int = 8
    gap: int = 6

    def __post_init__(self) -> None:
        for name in ("enough", "gap"):
            if not 1 <= (value := getattr(self, name)) <= self.rollouts:
                raise ConfigError(
                    f"{name} is a number of rollouts from 1 to {self.rollouts}, got {value}"
                )
        if self.rollouts - self.enough >= self.gap:
            raise ConfigError(
                f"with {self.rollouts} rollouts, enough={self.enough} and gap={self.gap} a sample "
                "could be of both classes; raise one of them"
            )

    def of(self, low: Arm, full: Arm) -> str | None:
        """The class, where it is the same however the unscored rollouts would have been judged.

        Returns:
            One of :data:`CLASSES`, or ``None`` where it hangs on a judgement that is missing.
        """
        found = {self._of(a, b) for a in low.possible for b in full.possible}
        return found.pop() if len(found) == 1 else None

    def _of(self, low: int, full: int) -> str:
        if min(low, full) >= self.enough:
            return LOW_ENOUGH
        return NEEDS_HIGH if full - low >= self.gap else REST
