"""What a preflight says: one finding for each thing that it looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from vt_env.errors import VisionThinkError

STAGES = ("without a machine", "arithmetic", "cluster", "one step", "verdict")
"""By number, from 1; each costs more than the one before it."""

Verdict = Literal["ok", "look", "no", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        stage: Its number in :data:`STAGES`, from 1.
        what: What was looked at.
        verdict: ``ok``; ``look``: a person should decide; ``no``: the run would fail or be wrong;
            ``skipped``: it could not be looked at, since something before it failed.
        says: What was found.
        advice: What to do, where there is something.
    """

    stage: int
    what: str
    verdict: Verdict
    says: str
    advice: str = ""


def tried(stage: int, what: str, look: Callable[[], Finding | str]) -> Finding:
    """What a look finds: its own finding, or that all is well, or the error that it ended in."""
    try:
        found = look()
    except Exception as error:  # of no one type: drivers, libraries and Ray have their own
        return failed(stage, what, error)
    return found if isinstance(found, Finding) else Finding(stage, what, "ok", found)


def failed(stage: int, what: str, error: Exception) -> Finding:
    """The error that a look ended in, in one line; its type, where the message is not ours."""
    says = " ".join(str(error).split())
    if not isinstance(error, VisionThinkError):
        says = ": ".join(filter(None, (type(error).__name__, says)))
    return Finding(stage, what, "no", f"{says:.600}")
