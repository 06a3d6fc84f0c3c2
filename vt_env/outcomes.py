"""What is left of a finished rollout for the rewards."""

from __future__ import annotations

from dataclasses import dataclass

from vt_env.regions import Region


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left of a finished rollout for the rewards.

    Attributes:
        correct: The judge's verdict; ``None`` is unscored, which is not the same as wrong.
        well_formed: Whether every turn kept the format.
        requested: Whether a tool call brought a second view (a call that failed did not).
        visual_tokens: Visual tokens of all views shown.
        full_tokens: Visual tokens of the original pictures, shown once.
        score: The judge's graded score in [0, 1]; ``None`` where it is unscored or not known.
        truncated: Whether a call went over a budget, which ended the rollout.
        calls: Calls that were made, carried out or not.
        failed_calls: Those that were not carried out.
        repeated_calls: Those that were carried out and had been made, or brought a view, before.
        regions: What the views of calls show, in the sources' pixels, in their order.
        found: The largest share that a call showed of the box where the answer is, from 0 to 1;
            ``None`` where the sample does not say where.
        tokens_by_turn: Visual tokens that were shown before each turn of the policy.
    """

    correct: bool | None
    well_formed: bool
    requested: bool
    visual_tokens: int = 0
    full_tokens: int = 0
    score: float | None = None
    truncated: bool = False
    calls: int = 0
    failed_calls: int = 0
    repeated_calls: int = 0
    regions: tuple[Region, ...] = ()
    found: float | None = None
    tokens_by_turn: tuple[int, ...] = ()

    @property
    def asked_share(self) -> float:
        """The area of all that calls showed, in areas of the picture."""
        return sum(region.share for region in self.regions)
