"""Rewards of the papers that came after VisionThink, as pure functions of a group's outcomes.

Legend: a group is the scored rollouts of one question; *calls* means that at least one call was
carried out. A *bonus* is added to a rollout's reward. A *channel* is a reward beside it, for an
algorithm that normalises two of them, each by itself; ``None`` leaves a rollout out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vt_env.errors import ConfigError
from vt_env.outcomes import Outcome

Bonus = Callable[[Sequence[Outcome]], list[float]]
Channel = Callable[[Sequence[Outcome]], list[float | None]]

FOUND = 0.5
"""Share of the answer's box that a crop has to show to be a good one."""


def deepeyes(group: Sequence[Outcome]) -> list[float]:
    """1.2 · 1[correct and a view was asked for] (DeepEyes, 2505.14362; weight of its code).

    The rest of that reward is ``accuracy_weight=0.8`` and a format term of 0 or -0.2, which is
    ``format_weight=0.2`` up to a constant.
    """
    return [1.2 * (bool(o.correct) and o.requested) for o in group]


def pixel_reasoner(group: Sequence[Outcome]) -> list[float]:
    """Curiosity while few rollouts call, and a price of calls (Pixel-Reasoner, 2505.15966).

        calls:  0.25 · max(0.3 - q, 0) / (2 q) - 0.05 · (calls - 1)
        else:   0                                          q: share of rollouts that call

    In the form of the released code (``experience_maker.py``) for pictures. Its further rule, that
    a correct answer after a failed call that was not put right counts as wrong, is a
    ``failed_call_price`` here.
    """
    share = sum(o.requested for o in group) / max(1, len(group))
    curiosity = 0.25 * max(0.3 - share, 0.0) / (2 * share) if share else 0.0
    return [curiosity - 0.05 * (_carried_out(o) - 1) if o.requested else 0.0 for o in group]


def chain_of_focus(group: Sequence[Outcome]) -> list[float]:
    """Ranks inside the group in place of accuracy (Chain-of-Focus, 2505.15436: AGAR).

    ==============================  ============  ==========  ==========  ============
    in the group                    direct right  zoom right  zoom wrong  direct wrong
    ==============================  ============  ==========  ==========  ============
    a direct answer is right        1.0           0.8         0.5         0, 0.1 well formed
    only answers after zooms are                  1.0         0.5         0
    nobody is right                                           0.5         0
    ==============================  ============  ==========  ==========  ============

    It *is* that reward, so use it with ``accuracy_weight=0, format_weight=0``.
    """
    direct = any(o.correct and not o.requested for o in group)

    def rank(o: Outcome) -> float:
        if o.requested:
            return (0.8 if direct else 1.0) if o.correct else 0.5
        return 1.0 if o.correct else 0.1 * (direct and o.well_formed)

    return [rank(o) for o in group]


def adaptvision(group: Sequence[Outcome]) -> list[float | None]:
    """R_tool = R_crop - 2 · R_area, the second channel of AdaptVision (2512.03794, α = 2).

        R_crop = 1[the crop shows what was asked about]
        R_area = 1[correct] · R_crop · clip(a / μ - 1, 0, 1)

    with a the area asked for, as a share of the picture, and μ its mean over the rollouts of the
    group that are correct with a good crop: only a larger crop than theirs pays.

    Departures: a crop is good if it shows half of the answer's box (:data:`FOUND`), where the
    paper asks a model; a rollout without a call has 0, of which the paper says nothing.

    Raises:
        ConfigError: If an outcome does not say what its calls found.
    """
    if any(o.found is None and o.requested for o in group):
        raise ConfigError(
            "tool='adaptvision' needs samples that say where the answer is: an 'answer_box' "
            "in their metadata"
        )

    def good(o: Outcome) -> bool:
        return o.requested and (o.found or 0.0) >= FOUND

    areas = [o.asked_share for o in group if o.correct and good(o)]
    mean = sum(areas) / len(areas) if areas else 1.0

    def channel(o: Outcome) -> float:
        excess = min(1.0, max(0.0, o.asked_share / mean - 1)) if o.correct and good(o) else 0.0
        return float(good(o)) - 2 * excess

    return [channel(o) for o in group]


def hdpo(group: Sequence[Outcome]) -> list[float | None]:
    """1 / (T + 1) with T calls, over the correct rollouts only (HDPO of Metis, 2604.08545).

    Where fewer than two are correct nobody is in the channel: there is nothing to compare.
    """
    correct = sum(bool(o.correct) for o in group)
    return [1 / (o.calls + 1) if o.correct and correct >= 2 else None for o in group]


def _carried_out(outcome: Outcome) -> int:
    return max(1, outcome.calls - outcome.failed_calls)


BONUSES: dict[str, Bonus] = {
    "deepeyes": deepeyes,
    "pixel-reasoner": pixel_reasoner,
    "chain-of-focus": chain_of_focus,
}
CHANNELS: dict[str, Channel] = {"adaptvision": adaptvision, "hdpo": hdpo}
