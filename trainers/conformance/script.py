"""The policy of the checks: it repeats what was recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from trainers.conformance.cases import Case


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
            place = sum(known == sample_id for known, _ in self._places)
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
