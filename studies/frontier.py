"""What a policy could reach at best: accuracy against visual tokens as tokens become dearer.

A question is worth asking for the original where that makes the answer right more often by more
than it costs. Who knew, for every question, how often each arm is right, would ask exactly there:
the *oracle*. It knows more than a policy can: which of two pictures that look alike happens to be
misread. The second reference knows the success rates of what can be *seen*, no more.

Legend: Q questions, K rollouts of each. Tokens are visual tokens over those of the original.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vt_env import DataError

Rates = NDArray[np.float64]
PRICES = np.linspace(-1.05, 1.05, 211)
"""Prices of a curve's points: below -1 everything is asked, above 1 nothing."""


@dataclass(frozen=True)
class Arms:
    """Rollouts that were forced to answer directly or to ask.

    Attributes:
        low: Whether direct answers were right: bool [Q, K], K at least 2.
        high: The same after a request.
        low_tokens: What a direct answer was shown, mean over all.
        high_tokens: The same after a request.

    Raises:
        DataError: If a request shows no more than a direct answer does.
    """

    low: NDArray[np.bool_]
    high: NDArray[np.bool_]
    low_tokens: float
    high_tokens: float

    def __post_init__(self) -> None:
        if not self.high_tokens > self.low_tokens:
            raise DataError(
                f"forced requests were shown {self.high_tokens:.2f} tokens and direct answers "
                f"{self.low_tokens:.2f}: this policy cannot ask, so there is nothing to compare"
            )

    def asking(self, price: float, groups: NDArray[np.int64] | None = None) -> tuple[Rates, Rates]:
        """Asks where the rate of success rises by more than the tokens cost.

            asks  ⇔  p_high - price · high_tokens > p_low - price · low_tokens

        Rates are taken from one half of the rollouts and the choice is scored on the other half,
        both ways round: choosing and scoring on the same ones would count their luck as skill.

        Args:
            price: Of as many visual tokens as the original has.
            groups: Int [Q]: questions of one group share a rate, their mean. ``None``: each has
                its own.

        Returns:
            Expected accuracy and tokens of each question: float [Q] each.
        """
        accuracy, asks = np.zeros(len(self.low)), np.zeros(len(self.low))
        for chosen, scored in ((0, 1), (1, 0)):
            gain = self.high[:, chosen::2].mean(1) - self.low[:, chosen::2].mean(1)
            if groups is not None:
                gain = (np.bincount(groups, gain) / np.bincount(groups))[groups]
            asked = gain > price * (self.high_tokens - self.low_tokens)
            high, low = self.high[:, scored::2].mean(1), self.low[:, scored::2].mean(1)
            accuracy += np.where(asked, high, low) / 2
            asks += asked / 2
        return accuracy, self.low_tokens + asks * (self.high_tokens - self.low_tokens)


class Frontier:
    """A reference's accuracy against tokens, as a curve over all prices.

    Args:
        arms: What it chooses from.
        groups: As :meth:`Arms.asking` takes them.
    """

    def __init__(self, arms: Arms, groups: NDArray[np.int64] | None = None) -> None:
        points = [arms.asking(price, groups) for price in PRICES[::-1]]
        self._accuracy = np.array([accuracy for accuracy, _ in points])
        self.tokens = np.array([tokens.mean() for _, tokens in points])

    @cached_property
    def accuracy(self) -> Rates:
        """Mean accuracy of each point, in the order of ``tokens``, which rises."""
        return self._accuracy.mean(1)

    def at(self, tokens: float) -> Rates:
        """Expected accuracy of each question where a mean of ``tokens`` is shown: float [Q].

        Between two points it is their mixture; beyond the ends, the end.
        """
        right = int(np.clip(np.searchsorted(self.tokens, tokens), 1, len(self.tokens) - 1))
        width = self.tokens[right] - self.tokens[right - 1]
        share = np.clip((tokens - self.tokens[right - 1]) / width, 0, 1) if width else 1.0
        return share * self._accuracy[right] + (1 - share) * self._accuracy[right - 1]


def mixing(arms: Arms, tokens: float) -> Rates:
    """Expected accuracy of each question where a coin decides, with so many tokens shown."""
    share = (tokens - arms.low_tokens) / (arms.high_tokens - arms.low_tokens)
    return arms.low.mean(1) + share * (arms.high.mean(1) - arms.low.mean(1))


def grouped(keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """Numbers from 0 for equal keys: int [Q]."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def gap(reference: Rates, policy: Rates) -> tuple[float, float]:
    """How much more a reference gets right, and half the width of its 95 % interval.

    The interval is paired over questions: both played the same ones.
    """
    difference = reference - policy
    spread = difference.std(ddof=1) / np.sqrt(len(difference))
    return float(difference.mean()), float(1.96 * spread)
