"""Does a trainer play, reward and learn as the environment says? Recorded transcripts that tell.

    transcripts.json ─▶ Case ─adapter.play─▶ rollouts ─check_…─▶ silence, or one AssertionError
          └───────derive.py────▶ expected ──────────────────┘

An adapter is anything with ``play(case)``: it lets its trainer play the case's groups with a policy
that repeats recorded turns (:class:`Script` does), and tells of every rollout what the trainer made
of it. See ``docs/architecture.md``.
"""

from trainers.conformance.adapters import Adapter, Rollout, Script, stretches
from trainers.conformance.cases import Case, Expected, Group, Recorded, cases, said
from trainers.conformance.checks import (
    check_groups,
    check_masks,
    check_rewards,
    check_visual_tokens,
)

__all__ = [
    "Adapter",
    "Case",
    "Expected",
    "Group",
    "Recorded",
    "Rollout",
    "Script",
    "cases",
    "check_groups",
    "check_masks",
    "check_rewards",
    "check_visual_tokens",
    "said",
    "stretches",
]
