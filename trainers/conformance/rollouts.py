"""What an adapter is, and what it tells of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from trainers.conformance.cases import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a trainer made of one rollout. ``None`` is what it does not tell.

    Attributes:
        reward: What it learns from; ``None`` or NaN where the rollout is unscored.
        penalty: What the group's rule took away, where a trainer keeps the terms.
        advantage: Of the rollout's tokens, where it is the same for all of them.
        requested: Whether a second view was shown.
        visual_tokens: Of all views shown: best counted in what the trainer's model reads.
        stretches: All that its model reads and says, in order, cut wherever it begins or ends to be
            trained on: the text, and whether it is. See :func:`stretches`.
    """

    reward: float | None
    penalty: float | None = None
    advantage: float | None = None
    requested: bool | None = None
    visual_tokens: int | None = None
    stretches: Sequence[tuple[str, bool]] | None = None


class Adapter(Protocol):
    """A trainer, as the checks see it."""

    def play(self, case: Case) -> Sequence[Sequence[Rollout]]:
        """Play all groups of a case at the same time.

        Args:
            case: Settings, samples and transcripts. Every policy turn is the next one of the
                rollout's transcript, for as long as the environment asks for turns.

        Returns:
            The rollouts of each group, groups and rollouts in the case's order.
        """
        ...


def stretches(
    tokens: Sequence[int], trained: Sequence[bool], decode: Callable[[Sequence[int]], str]
) -> list[tuple[str, bool]]:
    """A sequence cut wherever it begins or ends to be trained on.

    Args:
        tokens: All tokens of a rollout, padding left out.
        trained: Of each, whether the loss counts it.
        decode: The tokenizer's, special tokens kept.
    """
    made: list[tuple[list[int], bool]] = []
    for token, mine in zip(tokens, map(bool, trained), strict=True):
        if not made or made[-1][1] != mine:
            made.append(([], mine))
        made[-1][0].append(token)
    return [(decode(ids), mine) for ids, mine in made]
