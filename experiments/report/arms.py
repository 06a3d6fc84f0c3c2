"""Whether a policy asked needlessly, or should have asked: known only where both arms are.

One episode shows one arm: what the policy would have said in the other is not in it. Another run on
the same question tells, if it never asks (the *low* arm) or always sees the original (the *high*
arm). So:

* *asked needlessly*: it asked, and the low arm is right; or its request brought no more tokens;
* *should have asked*: it did not ask, it is wrong, and the high arm is right; never where its first
  view had as many tokens as the original.

Where an arm that is needed was not played, or is unscored, the mark is unknown: not the same as
absent, and counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from experiments.report.records import Key, Policy, Row

LOW = ("low", "never", "direct")
"""Modes, names and agents that never ask, the closest to the method's first."""
HIGH = ("always-request", "always_request", "always", "request", "full")
"""The same for those that always see the original."""
_BY_PROTOCOL = {"low": "low", "general": "full"}


@dataclass(frozen=True, slots=True)
class Arms:
    """What is known of both arms.

    Attributes:
        low: Name of the run that never asks; ``None`` if there is none.
        high: Name of the run that always sees the original.
        low_right: Its verdicts.
        high_right: Its verdicts.
    """

    low: str | None = None
    high: str | None = None
    low_right: dict[Key, bool | None] = field(default_factory=dict)
    high_right: dict[Key, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Marks:
    """What is notable about an episode; ``None``: it cannot be known."""

    wrong: bool
    unscored: bool
    needless: bool | None
    missed: bool | None


def arms_of(policy: Policy, policies: Sequence[Policy]) -> Arms:
    """The runs that show both arms of a policy.

    They were played by the same agent; or, where a folder has one such run for all its policies, as
    ``vt demo`` has, by that one.
    """
    low, high = _arm(policy, policies, LOW), _arm(policy, policies, HIGH)
    return Arms(
        low.name if low else None,
        high.name if high else None,
        _verdicts(low),
        _verdicts(high),
    )


def _arm(policy: Policy, policies: Sequence[Policy], names: Sequence[str]) -> Policy | None:
    """The first run that bears one of the names, of those that may stand for the policy."""
    candidates = [p for p in policies if _same_data(p, policy) and _word(p) in names]
    own = [p for p in candidates if policy.agent and p.agent == policy.agent]
    shared = [p for p in candidates if p.folder == policy.folder and _is_shared(p)]
    found = own or shared
    return min(found, key=lambda p: names.index(_word(p)), default=None)


def _word(policy: Policy) -> str:
    """What tells how it decides: its mode, its protocol, or the first word of its agent."""
    if policy.protocol in _BY_PROTOCOL:
        return _BY_PROTOCOL[policy.protocol]
    return policy.mode or policy.agent.partition(":")[0] or policy.name


def _is_shared(policy: Policy) -> bool:
    """Whether it is no particular agent's arm: scripted, or one for a whole comparison."""
    return policy.agent.partition(":")[0] in ("", "direct", "request", policy.mode)


def _same_data(one: Policy, other: Policy) -> bool:
    prints = one.origin.get("data"), other.origin.get("data")
    return prints[0] == prints[1] if all(prints) else one.data == other.data


def _verdicts(policy: Policy | None) -> dict[Key, bool | None]:
    return {} if policy is None else {row.key: row.correct for row in policy.rows}


def marks_of(row: Row, arms: Arms) -> Marks:
    """The marks of an episode."""
    return Marks(
        row.correct is False, row.correct is None, _needless(row, arms), _missed(row, arms)
    )


def _needless(row: Row, arms: Arms) -> bool | None:
    if row.requested is not True:
        return row.requested
    return True if row.futile else arms.low_right.get(row.key)


def _missed(row: Row, arms: Arms) -> bool | None:
    if row.requested or row.correct or _saw_enough(row):
        return False
    if row.requested is None or row.correct is None:
        return None
    return arms.high_right.get(row.key)


def _saw_enough(row: Row) -> bool:
    """Whether the first view cost as many tokens as the original: asking could bring nothing."""
    tokens, full = row.visual_tokens, row.full_tokens
    return tokens is not None and full is not None and tokens >= full
