"""The stages in order, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from trainers.preflight.alone import look_alone
from trainers.preflight.arithmetic import look_at_sizes
from trainers.preflight.cluster import look_at_cluster
from trainers.preflight.findings import STAGES, Finding, failed
from trainers.preflight.hub import hub_asked
from trainers.preflight.known import Known
from trainers.preflight.rehearsal import rehearse

_LOOKS = (look_alone, look_at_sizes, look_at_cluster, rehearse)


@dataclass
class Preflight:
    """A look at a run before it is paid for.

    Attributes:
        known: The recipe, its trainer and where the run will be; each stage adds what it found out.
        command: What starts the run.
        findings: What was found so far, in order.
    """

    known: Known
    command: str
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def good(self) -> bool:
        """Whether all stages were gone through, and nothing speaks against a start."""
        over = bool(self.findings) and self.findings[-1].stage == len(STAGES)
        return over and not any(finding.verdict == "no" for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """All of it, for ``preflight.json``."""
        return {
            "good": self.good,
            "findings": [asdict(finding) for finding in self.findings],
            "facts": self.known.facts,
            "command": self.command,
        }

    def look(self, until: int, told: Callable[[Finding], None]) -> None:
        """Go through the stages.

        Args:
            until: The last one, from 1 to 4. From the third on, a stage is left out where one
                before it said no.
            told: Is told of each finding as it is made.
        """

        def add(finding: Finding) -> None:
            self.findings.append(finding)
            told(finding)

        try:
            with hub_asked(self.known.config) as hub:
                if hub is not None:
                    add(hub)
                for number in range(1, until + 1):
                    for finding in self._stage(number):
                        add(finding)
        finally:
            for task in self.known.tasks.values():
                task.close()
        add(self._verdict(until))

    def _stage(self, number: int) -> Iterator[Finding]:
        name = STAGES[number - 1]
        if any(finding.verdict == "no" for finding in self.findings) and number > 2:
            yield Finding(number, name, "skipped", "an earlier stage says no")
            return
        try:
            yield from _LOOKS[number - 1](self.known)
        except Exception as error:  # of no one type, see findings.tried
            yield failed(number, name, error)

    def _verdict(self, until: int) -> Finding:
        verdicts = [finding.verdict for finding in self.findings]
        if against := verdicts.count("no"):
            says = f"{against} of {len(verdicts)} speak against a start"
            return Finding(5, "verdict", "no", says)
        asked = verdicts.count("look")
        left = f"; stages {until + 1} to 4 were left out" if until < 4 else ""
        return Finding(5, "verdict", "look" if asked or left else "ok",
                       f"nothing speaks against a start; {asked} to decide on{left}")  # fmt: skip
