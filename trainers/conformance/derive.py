"""What the recorded transcripts should earn, worked out without any of the project's code.

``transcripts.json`` is written by hand. Beside the turns of each rollout it says what a person
reads in them, by the rules of ``docs/environment.md``: how many turns are taken before the episode
is over, whether the answer is right (``null``: cannot be scored), whether every turn keeps the
format, and which views are shown; the first of them stands for the first look at all pictures. Each
sample says how many visual tokens its views have. From these facts and the settings all numbers
follow, in exact fractions:

* visual tokens: the sum over the views shown.
* A rollout *requested* if it was shown more than the first look.
* Over the scored rollouts of a group: C_d and C_h right answers without and after a request, N_d
  and N_h rollouts of each arm. r = C_d / (C_d + C_h) of counts; of rates r = p_d / (p_d + p_h),
  where p = C / N, or ``untried_rate`` where N = 0. A denominator of 0 leaves r undefined.
* Who pays ``penalty_weight``:

    ============== =================================================================================
    none           nobody
    every_request  right answers after a request
    paper, rate    direct answers if r < θ, else those after a request; where ``wrong_pays`` is
                   false only the right ones; where r is undefined nobody, or, where
                   ``nobody_correct`` is ``zero``, as if r were 0
    released       right answers after a request; right direct ones if 0 < r < θ (r of counts)
    ============== =================================================================================

* cost = token_price · visual tokens / visual tokens of the whole picture.
* reward = accuracy + format - penalty - cost; an unscored rollout has none.
* deviation = reward - mean reward of the group's scored rollouts: what a group-relative advantage
  is a positive multiple of.

Sources: arXiv 2507.13348, Eq. 4 and 5, for the reward and ``paper``; ``docs/rewards.md`` for all
else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

Facts = Mapping[str, Any]


def derive(recorded: Mapping[str, Any]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What each rollout should earn: by setting and group, in the order of the rollouts."""
    samples = {sample["name"]: sample["tokens"] for sample in recorded["samples"]}
    return {
        setting["name"]: {
            group["name"]: _group(group["rollouts"], samples[group["sample"]], setting["reward"])
            for group in recorded["groups"]
            if belongs(group, setting)
        }
        for setting in recorded["settings"]
    }


def belongs(group: Facts, setting: Facts) -> bool:
    """Whether a group is played with some settings: its own, or all of its protocol."""
    if "setting" in group:
        return group["setting"] == setting["name"]
    return group["protocol"] == setting["protocol"] and "rules" not in setting


def _group(
    rollouts: Sequence[Facts], tokens: Mapping[str, int], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    penalties = _penalties(rollouts, settings)
    shown = [sum(tokens[view] for view in facts["views"]) for facts in rollouts]
    rewards = [
        None
        if facts["correct"] is None
        else _exact(settings["accuracy_weight"]) * facts["correct"]
        + _exact(settings["format_weight"]) * facts["well_formed"]
        - penalty
        - _exact(settings["token_price"]) * Fraction(visual, tokens["full"])
        for facts, penalty, visual in zip(rollouts, penalties, shown, strict=True)
    ]
    known = [reward for reward in rewards if reward is not None]
    mean = sum(known, Fraction(0)) / len(known)
    return [
        {
            "turns": facts["played"],
            "requested": _arm(facts) == "request",
            "reward": None if reward is None else float(reward),
            "penalty": None if reward is None else float(penalty),
            "deviation": None if reward is None else float(reward - mean),
            "visual_tokens": visual,
        }
        for facts, reward, penalty, visual in zip(rollouts, rewards, penalties, shown, strict=True)
    ]


def _penalties(rollouts: Sequence[Facts], settings: Mapping[str, Any]) -> list[Fraction]:
    rule, threshold = settings["penalty"], _exact(settings["threshold"])
    arms = {"direct": [0, 0], "request": [0, 0]}  # right answers, scored rollouts
    for facts in rollouts:
        if facts["correct"] is not None:
            arms[_arm(facts)][0] += facts["correct"]
            arms[_arm(facts)][1] += 1
    direct, request = (Fraction(right) for right, _ in arms.values())
    if rule == "rate":
        untried = _exact(settings["untried_rate"])
        direct, request = (Fraction(c, n) if n else untried for c, n in arms.values())
    r = direct / (direct + request) if direct + request else None
    if r is None and settings["nobody_correct"] == "zero":
        r = Fraction(0)
    paying: list[bool] = []
    for facts in rollouts:
        requested, right = _arm(facts) == "request", bool(facts["correct"])
        if rule == "every_request":
            pays = right and requested
        elif rule == "released":
            pays = right and (requested or (r is not None and 0 < r < threshold))
        elif rule in ("paper", "rate") and r is not None:
            pays = requested == (r >= threshold) and (right or settings["wrong_pays"])
        else:
            pays = False
        paying.append(pays)
    return [_exact(settings["penalty_weight"]) * pays for pays in paying]


def _arm(facts: Facts) -> str:
    return "request" if len(facts["views"]) > 1 else "direct"


def _exact(number: float) -> Fraction:
    """A decimal number as it is written."""
    return Fraction(str(number))
