"""Rewards as pure functions of outcomes: the same transcripts give the same numbers everywhere.

    R = R_accuracy + R_format - P_control - cost     (arXiv 2507.13348, Eq. 4, and a cost of ours)
      + bonus                                        (of later papers, see vt_env.bonuses)

Accuracy, format and cost belong to one rollout. The control penalty and some bonuses look at the
*group* of rollouts of one question, so whoever holds the group applies them: the vector
environment, or a trainer through :func:`group_rewards`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vt_env.bonuses import BONUSES, CHANNELS
from vt_env.errors import ConfigError, unknown_name
from vt_env.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class Reward:
    """The terms of one rollout's reward; all ``None`` when it is unscored.

    Attributes:
        accuracy: ``accuracy_weight`` or 0.
        format: ``format_weight`` or 0.
        penalty: What the control penalty takes away, at least 0.
        cost: What the visual tokens and the calls cost, at least 0.
        total: ``accuracy + format - penalty - cost + bonus``.
        bonus: Of later papers; may be below 0.
        tool: The second channel, which is in no sum: an algorithm with two channels (``dtpo``,
            ``hdpo``) normalises it by itself. ``None`` where the rollout is not in it.
    """

    accuracy: float | None
    format: float | None
    penalty: float | None
    cost: float | None
    total: float | None
    bonus: float | None = 0.0
    tool: float | None = None

    def __str__(self) -> str:
        """The sum as onlookers see it; a cost only where there is one."""
        if self.total is None:
            return "no reward: unscored"
        cost = f" - cost {self.cost:.2f}" if self.cost else ""
        bonus = f" + bonus {self.bonus:.2f}" if self.bonus else ""
        return (
            f"reward {self.total:.2f} = accuracy {self.accuracy:.2f} + format {self.format:.2f} "
            f"- penalty {self.penalty:.2f}{cost}{bonus}"
        )


UNSCORED = Reward(None, None, None, None, None, None)


@dataclass(frozen=True, slots=True)
class RewardConfig:
    """Weights, the penalty's rule and the price of visual tokens.

    The penalty compares r, the share of direct answers in the group's success, with a threshold
    θ. Where r < θ a low resolution rarely suffices, so direct answers pay; otherwise requests do.

    Attributes:
        accuracy_weight: Reward of a correct answer (paper: 1).
        format_weight: Reward of a rollout whose every turn is well formed (paper: 0.5).
        penalty: The rule:

            * ``none``: nobody pays.
            * ``every_request``: a correct answer after a request pays (the ablation that collapses
              to direct answers, Fig. 3a).
            * ``paper``: Eq. 5, with r = C_direct / (C_direct + C_high) over counts of correct
              rollouts.
            * ``released``: the released code, which differs from Eq. 5: a correct answer after a
              request always pays, a correct direct answer pays where 0 < r < θ; wrong ones never.
            * ``rate``: ours: the rule of ``paper`` with r = p_direct / (p_direct + p_high) over
              success *rates* of the two arms, which do not depend on how often each was tried.

        penalty_weight: What a rollout pays (paper: 0.1).
        threshold: θ (paper: 0.2).
        wrong_pays: Whether wrong rollouts of the paying arm pay too, in ``paper`` and ``rate``.
            Eq. 5 as written says so.
        nobody_correct: What ``paper`` and ``rate`` do where r is 0/0: ``"none"``: nobody pays;
            ``"zero"``: r counts as 0, so direct answers pay. The paper does not say.
        untried_rate: Success rate that ``rate`` assumes of an arm that nobody tried; 1 is
            optimistic and keeps both arms tried.
        token_price: What as many visual tokens as the original's cost. A rollout pays for all
            that it was shown: at half size about a quarter of the price, after a request 1.25
            times the price. It stands beside any penalty; alone it wants ``none``. 0: nothing.
        failed_call_price: What each call costs that could not be carried out.
        repeated_call_price: What each call costs that was made, or showed its view, before.
        bonus: A name of :data:`vt_env.bonuses.BONUSES`, or ``none``.
        bonus_weight: Multiplies the bonus.
        tool: A name of :data:`vt_env.bonuses.CHANNELS`, or ``none``: the second channel.

    Raises:
        ConfigError: On an unknown rule or a value out of range.
    """

    accuracy_weight: float = 1.0
    format_weight: float = 0.5
    penalty: str = "paper"
    penalty_weight: float = 0.1
    threshold: float = 0.2
    wrong_pays: bool = True
    nobody_correct: Literal["none", "zero"] = "none"
    untried_rate: float = 1.0
    token_price: float = 0.0
    failed_call_price: float = 0.0
    repeated_call_price: float = 0.0
    bonus: str = "none"
    bonus_weight: float = 1.0
    tool: str = "none"

    def __post_init__(self) -> None:
        if self.penalty not in PENALTIES:
            raise unknown_name("penalty", self.penalty, PENALTIES)
        if self.nobody_correct not in ("none", "zero"):
            raise unknown_name("nobody_correct", self.nobody_correct, ("none", "zero"))
        for name, known in (("bonus", BONUSES), ("tool", CHANNELS)):
            if (value := getattr(self, name)) not in ("none", *known):
                raise unknown_name(f"reward's {name}", value, ("none", *known))
        for name in (
            "accuracy_weight",
            "format_weight",
            "penalty_weight",
            "token_price",
            "failed_call_price",
            "repeated_call_price",
            "bonus_weight",
        ):
            if not 0 <= (value := getattr(self, name)) < float("inf"):
                raise ConfigError(f"{name} must be a finite number of at least 0, got {value}")
        for name in ("threshold", "untried_rate"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ConfigError(f"{name} must be between 0 and 1, got {value}")

    @property
    def needs_group(self) -> bool:
        """Whether the reward of one rollout depends on its siblings."""
        alone = self.bonus in ("none", "deepeyes") and self.tool == "none"
        return self.penalty not in ("none", "every_request") or not alone


def group_rewards(outcomes: Sequence[Outcome], config: RewardConfig) -> list[Reward]:
    """Rewards of all rollouts of one question.

    Unscored rollouts neither count in the penalty nor are rewarded.

    Args:
        outcomes: The group, in any order; the order of the result is the same.
        config: Weights, the penalty's rule and the price of visual tokens.

    Raises:
        ConfigError: If tokens have a price and a scored outcome does not say how many the original
            has.
    """
    scored = [o for o in outcomes if o.correct is not None]
    pays = PENALTIES[config.penalty](scored, config)
    bonuses = iter([0.0] * len(scored) if config.bonus == "none" else BONUSES[config.bonus](scored))
    tools = iter([None] * len(scored) if config.tool == "none" else CHANNELS[config.tool](scored))
    return [
        UNSCORED
        if o.correct is None
        else _reward(o, pays(o), config, next(bonuses) * config.bonus_weight, next(tools))
        for o in outcomes
    ]


def _reward(
    outcome: Outcome, pays: bool, config: RewardConfig, bonus: float, tool: float | None
) -> Reward:
    accuracy = config.accuracy_weight if outcome.correct else 0.0
    form = config.format_weight if outcome.well_formed else 0.0
    penalty = config.penalty_weight if pays else 0.0
    cost = _cost(outcome, config)
    total = accuracy + form - penalty - cost + bonus
    return Reward(accuracy, form, penalty, cost, total, bonus, tool)


def _cost(outcome: Outcome, config: RewardConfig) -> float:
    """Price · visual tokens shown / those of the originals, shown once; and what calls cost."""
    calls = (
        config.failed_call_price * outcome.failed_calls
        + config.repeated_call_price * outcome.repeated_calls
    )
    if not config.token_price:
        return calls
    if outcome.full_tokens < 1 or outcome.visual_tokens < 0:
        raise ConfigError(
            "token_price needs outcomes with visual_tokens of at least 0 and full_tokens of at "
            f"least 1, got {outcome.visual_tokens} and {outcome.full_tokens}"
        )
    return config.token_price * outcome.visual_tokens / outcome.full_tokens + calls


def direct_share_of_counts(group: Sequence[Outcome]) -> float | None:
    """r of Eq. 5: C_direct / (C_direct + C_high); ``None`` when nobody is correct."""
    direct = sum(bool(o.correct) and not o.requested for o in group)
    high = sum(bool(o.correct) and o.requested for o in group)
    return direct / (direct + high) if direct + high else None


def direct_share_of_rates(group: Sequence[Outcome], untried_rate: float) -> float | None:
    """r from success rates: p_direct / (p_direct + p_high); ``None`` when both are 0."""
    direct = _success_rate([o for o in group if not o.requested], untried_rate)
    high = _success_rate([o for o in group if o.requested], untried_rate)
    return direct / (direct + high) if direct + high else None


def _success_rate(arm: Sequence[Outcome], untried: float) -> float:
    return sum(bool(o.correct) for o in arm) / len(arm) if arm else untried


Pays = Callable[[Outcome], bool]


def _released(group: Sequence[Outcome], config: RewardConfig) -> Pays:
    r = direct_share_of_counts(group)
    direct_pays = r is not None and 0 < r < config.threshold
    return lambda o: bool(o.correct) and (o.requested or direct_pays)


def _arm_pays(r: float | None, config: RewardConfig) -> Pays:
    """Eq. 5: P = w · [direct · 1(r < θ) + high · 1(r ≥ θ)]."""
    if r is None:
        if config.nobody_correct == "none":
            return lambda o: False
        r = 0.0
    requests_pay = r >= config.threshold
    return lambda o: o.requested == requests_pay and (config.wrong_pays or bool(o.correct))


PENALTIES: dict[str, Callable[[Sequence[Outcome], RewardConfig], Pays]] = {
    "none": lambda group, config: lambda o: False,
    "every_request": lambda group, config: lambda o: bool(o.correct) and o.requested,
    "paper": lambda group, config: _arm_pays(direct_share_of_counts(group), config),
    "released": _released,
    "rate": lambda group, config: _arm_pays(
        direct_share_of_rates(group, config.untried_rate), config
    ),
}
