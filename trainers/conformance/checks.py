"""The checks: each is silent, or raises one AssertionError that says what differs, and where."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from trainers.conformance.adapters import Adapter, Rollout
from trainers.conformance.cases import Case, Expected, Group, cases

TOLERANCE = 1e-5
"""Numbers that differ by no more are the same: a trainer may keep rewards in float32."""

Names = Collection[str] | None
Place = tuple[str, Expected, Rollout]


def check_rewards(adapter: Adapter, settings: Names = None, groups: Names = None) -> None:
    """Every rollout gets the reward that it should, and unscored ones get none.

    Args:
        adapter: Who plays.
        settings: Names of settings; all by default.
        groups: Names of groups; all by default.

    Raises:
        AssertionError: Naming the first rollout that differs, and how many do.
        ConfigError: On an unknown name.
    """
    _compare("reward", (p for c in cases(settings, groups) for p in _places(adapter, c)))


def check_groups(adapter: Adapter, settings: Names = None, groups: Names = None) -> None:
    """What depends on a group depends on that group's rollouts alone, wherever they stand.

    Each group is played by itself, and all are played together in the opposite order: rewards,
    and penalties where they are told, must stay with their rollouts. Where advantages are told,
    those of a group are one positive multiple of how far its rewards lie from their mean, all 0
    where rewards are equal, and 0 or none for a rollout that is unscored.

    Arguments and errors are those of :func:`check_rewards`.
    """
    for case in cases(settings, groups):
        alone = [(replace(case, groups=(group,)), "alone") for group in case.groups]
        turned = tuple(group.backwards() for group in reversed(case.groups))
        orders = [*alone, (replace(case, groups=turned), "all, backwards")]
        for order, how in orders:
            places = [(f"{where} ({how})", e, r) for where, e, r in _places(adapter, order)]
            _compare("penalty", (p for p in places if p[2].penalty is not None))
            _compare("reward", places)
            size = 0
            for group in order.groups:
                _advantages(places[size : size + len(group.expected)])
                size += len(group.expected)


def check_masks(
    adapter: Adapter, settings: Names = ("paper",), groups: Names = None, *, turn_end: str = ""
) -> None:
    """Exactly what the policy said is trained on, and the model reads what it should.

    The stretches that are trained on are the turns that were taken, each with its end. Before the
    first stands the question; between two of them what the environment said. A rollout that is
    unscored may be trained on not at all.

    Args:
        adapter: Who plays; it tells ``stretches``.
        settings: As for the other checks.
        groups: As for the other checks.
        turn_end: What the scripted policy says after each turn, such as ``<|im_end|>``.

    Raises:
        AssertionError: Naming the first rollout that differs, and how.
        ConfigError: On an unknown name.
    """
    for case in cases(settings, groups):
        transcripts = [(g, turns) for g in case.groups for turns in g.transcripts]
        for (group, turns), place in zip(transcripts, _places(adapter, case), strict=True):
            where, expected, rollout = place
            said = [turn + turn_end for turn in turns[: expected.turns]]
            if problem := _mask_problem(group, said, expected, rollout):
                raise AssertionError(f"{where}: {problem}")


def check_visual_tokens(adapter: Adapter, settings: Names = None, groups: Names = None) -> None:
    """Views are shown, and their tokens counted, as they should; and who requested is known.

    Arguments and errors are those of :func:`check_rewards`.
    """
    places = [p for case in cases(settings, groups) for p in _places(adapter, case)]
    _compare("visual_tokens", places)
    _compare("requested", (p for p in places if p[2].requested is not None))


def _places(adapter: Adapter, case: Case) -> Iterator[Place]:
    """What was expected and what came, rollout by rollout.

    Raises:
        AssertionError: If there are not as many rollouts as were asked for.
    """
    played = adapter.play(case)
    came = [len(rollouts) for rollouts in played]
    if came != (wanted := [len(group.expected) for group in case.groups]):
        raise AssertionError(f"{case.name}: expected rollouts by group {wanted}, got {came}")
    for group, rollouts in zip(case.groups, played, strict=True):
        for number, (expected, rollout) in enumerate(zip(group.expected, rollouts, strict=True)):
            where = f"settings {case.name!r}, group {group.name!r}, rollout {number}"
            yield where, expected, rollout


def _compare(what: str, places: Iterable[Place]) -> None:
    compared = [(w, getattr(e, what), getattr(r, what)) for w, e, r in places]
    wrong = [place for place in compared if not _same(*place[1:])]
    if not wrong:
        return
    where, expected, got = wrong[0]
    more = f"; so differ {len(wrong)} of {len(compared)} rollouts" if len(wrong) > 1 else ""
    raise AssertionError(f"{where}: expected {what} {_shown(expected)}, got {_shown(got)}{more}")


def _advantages(places: Sequence[Place]) -> None:
    """See :func:`check_groups`."""
    if all(rollout.advantage is None for _, _, rollout in places):
        return
    spread = max(abs(expected.deviation or 0.0) for _, expected, _ in places)
    farthest = [r for _, e, r in places if spread and abs(e.deviation or 0.0) == spread]
    factor = max((abs(r.advantage or 0.0) / spread for r in farthest), default=0.0)
    if spread and not factor:
        raise AssertionError(f"{places[0][0]}: its group's rewards differ, but no advantages do")
    for where, expected, rollout in places:
        wanted, got = (expected.deviation or 0.0) * factor, rollout.advantage or 0.0
        if not abs(wanted - got) <= 1e-3 * max(1.0, factor):
            raise AssertionError(
                f"{where}: expected advantage {_shown(wanted)}, {_shown(factor)} times what its "
                f"reward deviates from its group's mean, got {_shown(got)}"
            )


def _mask_problem(
    group: Group, said: Sequence[str], expected: Expected, rollout: Rollout
) -> str | None:
    if rollout.stretches is None:
        return "no stretches were told, so there is no mask to check"
    trained = [text for text, mine in rollout.stretches if mine]
    if expected.reward is None and not trained:
        return None
    for number, turn in enumerate(said):
        if number == len(trained):
            return f"turn {number + 1} is not trained on: {turn!r}"
        if trained[number] != turn:
            return f"expected turn {number + 1} trained on as {turn!r}, got {trained[number]!r}"
    if len(trained) > len(said):
        return f"trained on, though the policy never said it: {trained[len(said)]!r}"
    read = [text for text, mine in rollout.stretches if not mine]
    if rollout.stretches[0][1] or group.sample.question not in read[0]:
        return f"the question {group.sample.question!r} does not stand before the first turn"
    for number, text in enumerate(read[1 : len(said)], 1):
        if "<tool_response>" not in text:
            return f"the environment's words do not stand after turn {number}: {text!r}"
    return None


def _same(expected: Any, got: Any) -> bool:
    if isinstance(got, float) and math.isnan(got):
        got = None
    if expected is None or got is None:
        return expected is got
    return abs(float(expected) - float(got)) <= TOLERANCE


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
