"""The stages in order, and what they come to."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainers.preflight.alone import look_alone
from trainers.preflight.arithmetic import look_at_sizes
from trainers.preflight.cluster import look_at_cluster
from trainers.preflight.findings import STAGES, Finding
from trainers.preflight.hub import hub_asked
from trainers.preflight.known import Known
from trainers.preflight.rehearsal import rehearse

_LOOKS = (look_alone, look_at_sizes, look_at_cluster, rehearse)


@dataclass(frozen=True)
class Preflight:
    """What all stages found.

    Attributes:
        findings: In order.
        facts: Numbers, by name: bytes, seconds, tokens.
        command: What starts the run.
    """

    findings: Sequence[Finding]
    facts: dict[str, float]
    command: str

    @property
    def good(self) -> bool:
        """Whether nothing speaks against a start."""
        return not any(finding.verdict == "no" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """All of it, for ``preflight.json``."""
        return {
            "good": self.good,
            "findings": [asdict(finding) for finding in self.findings],
            "facts": self.facts,
            "command": self.command,
        }


def preflight(
    known: Known, words: Sequence[str], *, until: int = 4, told: Callable[[Finding], None]
) -> Preflight:
    """Look at a run before it is paid for.

    Args:
        known: The recipe, its trainer and where the run will be.
        words: What starts the run, for the last line.
        until: The last stage, from 1 to 4. A stage is left out where one before it said no.
        told: Is told of each finding as it is made.
    """
    found: list[Finding] = []

    def add(finding: Finding) -> None:
        found.append(finding)
        told(finding)

    try:
        with hub_asked(known.config) as hub:
            if hub is not None:
                add(hub)
            for number in range(1, until + 1):
                for finding in _stage(number, known, found):
                    add(finding)
    finally:
        for task in known.tasks.values():
            task.close()
    against = sum(finding.verdict == "no" for finding in found)
    asked = sum(finding.verdict == "look" for finding in found)
    command = shlex.join(words)
    if against:
        last = Finding(5, "verdict", "no", f"{against} of {len(found)} speak against a start")
    else:
        left = f"; stages {until + 1} to 4 were left out" if until < 4 else ""
        last = Finding(5, "verdict", "look" if asked or left else "ok",
                       f"nothing speaks against a start; {asked} to decide on{left}")  # fmt: skip
    told(last)
    return Preflight([*found, last], known.facts, command)


def _stage(number: int, known: Known, before: Sequence[Finding]) -> Iterator[Finding]:
    if any(finding.verdict == "no" for finding in before) and number > 2:
        yield Finding(number, STAGES[number - 1], "skipped", "an earlier stage says no")
        return
    yield from _LOOKS[number - 1](known)
