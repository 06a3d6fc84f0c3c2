"""What a step's episodes say about the policy: numbers that show a collapse early.

A policy collapses to "always request" or "always direct" long before its accuracy tells. Watch
``rollout/request_rate`` by kind, ``reward/groups_without_signal`` and the penalty of each arm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from agents import Episode
from agents.judging.usage import total
from trainers.episodes import has_failed, has_signal, is_probe
from vt_env.judges import UsageLike

Numbers = dict[str, float | None]
LOGGED_ELSEWHERE = ("reward_mean", "unscored", "groups_without_signal", "truncated", "tokens")
"""Numbers of an algorithm that are here in other families."""


def rollout_metrics(episodes: Sequence[Episode], group_size: int) -> Numbers:
    """Numbers of a training step, in the families ``rollout``, ``reward`` and ``env``.

    What the policy chose (request rates) is measured without the probes; what a group's reward
    is made of, with them. Where all are forced (``rollout.arm``), all are measured.
    """
    free = [e for e in episodes if not is_probe(e)] or episodes
    groups = [episodes[i : i + group_size] for i in range(0, len(episodes), group_size)]
    made: Numbers = {
        **{f"rollout/{name}": value for name, value in _requests(free).items()},
        "rollout/probes": sum(map(is_probe, episodes)),
        "rollout/tokens": _mean(_generated(e) for e in episodes),
        "rollout/truncated": _mean(any(r.truncated for r in e.replies) for e in episodes),
        "rollout/futile_requests": _mean(e.futile for e in episodes),
        "rollout/failed": sum(map(has_failed, episodes)),
    }
    made |= {f"env/{name}": value for name, value in _outcomes(free).items()}
    made["env/correct_direct"] = _mean(_correct(g, requested=False) for g in groups)
    made["env/correct_high"] = _mean(_correct(g, requested=True) for g in groups)
    made["env/unscored"] = sum(e.verdict.correct is None for e in episodes)
    return made | {f"reward/{name}": value for name, value in _rewards(episodes, groups).items()}


def before_training(measured: Numbers) -> Numbers:
    """An evaluation before the first step, under names that stand in the first step's line."""
    return {f"before/{name.removeprefix('eval/')}": value for name, value in measured.items()}


def evaluation_metrics(episodes: Sequence[Episode]) -> Numbers:
    """Numbers of a greedy evaluation, in the family ``eval``."""
    return {f"eval/{k}": v for k, v in {**_outcomes(episodes), **_requests(episodes)}.items()}


def judge_metrics(usages: Iterable[UsageLike | None]) -> Numbers:
    """What judging took since the run's processes began, evaluations included: family ``judge``.

    Args:
        usages: Of each judge; ``None`` of one that counts nothing. Without any other there are
            no numbers.
    """
    parts = [usage for usage in usages if usage is not None]
    return {f"judge/{k}": v for k, v in total(parts).numbers().items()} if parts else {}


def _requests(episodes: Sequence[Episode]) -> Numbers:
    """How often the original was asked for, over all and by kind."""
    made: Numbers = {"request_rate": _mean(e.outcome.requested for e in episodes)}
    for kind in sorted({e.sample.kind for e in episodes if e.sample.kind}):
        made[f"request_rate/{kind}"] = _mean(
            e.outcome.requested for e in episodes if e.sample.kind == kind
        )
    return made


def _outcomes(episodes: Sequence[Episode]) -> Numbers:
    """Accuracy (of scored episodes), format and visual tokens."""

    def accuracy(wanted: Callable[[Episode], bool]) -> float | None:
        verdicts = [e.verdict.correct for e in episodes if wanted(e)]
        return _mean(v for v in verdicts if v is not None)

    shown = sum(e.outcome.visual_tokens for e in episodes)
    full = sum(e.outcome.full_tokens for e in episodes)
    return {
        "accuracy": accuracy(lambda e: True),
        "accuracy_direct": accuracy(lambda e: not e.outcome.requested),
        "accuracy_request": accuracy(lambda e: e.outcome.requested),
        "well_formed": _mean(e.outcome.well_formed for e in episodes),
        "visual_tokens": _mean(e.outcome.visual_tokens for e in episodes),
        "token_ratio": shown / full if full else None,
    }


def _rewards(episodes: Sequence[Episode], groups: Sequence[Sequence[Episode]]) -> Numbers:
    def mean(term: str, wanted: Callable[[Episode], bool] = lambda e: True) -> float | None:
        values = [getattr(e.reward, term) for e in episodes if wanted(e)]
        return _mean(v for v in values if v is not None)

    return {
        "mean": mean("total"),
        "accuracy": mean("accuracy"),
        "format": mean("format"),
        "penalty": mean("penalty"),
        "penalty_direct": mean("penalty", lambda e: not e.outcome.requested),
        "penalty_request": mean("penalty", lambda e: e.outcome.requested),
        "cost": mean("cost"),
        "groups_without_signal": _mean(not has_signal(group) for group in groups),
    }


def _correct(group: Sequence[Episode], *, requested: bool) -> int:
    """C_direct or C_high of Eq. 5."""
    return sum(bool(e.verdict.correct) and e.outcome.requested == requested for e in group)


def _generated(episode: Episode) -> int:
    return sum(len(reply.token_ids or ()) for reply in episode.replies)


def _mean(values: Iterable[Any]) -> float | None:
    numbers = [float(value) for value in values]
    return float(np.mean(numbers)) if numbers else None
