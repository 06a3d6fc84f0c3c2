"""What an adapter is, what it tells of a rollout, and the policy that repeats what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
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
        requested: Whether a view was shown beside those of the first look.
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


class Script:
    """Says the next turn of a rollout, for trainers that own the loop of generation.

    The rollouts of a sample take the group's transcripts in the order in which they first speak.

    Args:
        case: What is played.
    """

    def __init__(self, case: Case) -> None:
        self._groups = {group.sample.id: group for group in case.groups}
        self._places: dict[tuple[str, Hashable], int] = {}
        self._taken: Counter[tuple[str, Hashable]] = Counter()

    def place(self, sample_id: str, rollout: Hashable) -> int:
        """Which transcript of its group a rollout has; it is given one if it has none.

        Args:
            sample_id: Its sample's.
            rollout: What tells it from its siblings for as long as the case is played, such as a
                request's id or its row in a batch.

        Raises:
            AssertionError: If all transcripts of the group are taken.
        """
        key = (sample_id, rollout)
        if key not in self._places:
            place = sum(known == sample_id for known, _ in list(self._places))
            transcripts = len(self._groups[sample_id].transcripts)
            if place == transcripts:
                raise AssertionError(
                    f"group {sample_id!r}: a rollout too many speaks; it has {transcripts}"
                )
            self._places[key] = place
        return self._places[key]

    def turn(self, sample_id: str, rollout: Hashable) -> str:
        """The rollout's next turn.

        Raises:
            AssertionError: If the episode should have been over.
        """
        place = self.place(sample_id, rollout)
        key, group = (sample_id, rollout), self._groups[sample_id]
        taken, turns = self._taken[key], group.expected[place].turns
        if taken == turns:
            raise AssertionError(
                f"group {sample_id!r}, rollout {place}: asked for turn {taken + 1}, but its "
                f"episode is over after {turns}"
            )
        self._taken[key] += 1
        return group.transcripts[place][taken]
