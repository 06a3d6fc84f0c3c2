"""What a report is made of, whatever wrote it: policies with their episodes, and training runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, str]
"""What makes two episodes be about the same thing: the sample's id and its question."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a policy.

    Attributes:
        thought: What it thinks.
        does: ``answers``, ``calls`` or ``malformed``.
        text: The answer, the call, or why the turn was not understood.
    """

    thought: str
    does: str
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One episode as text; what its file does not say is ``None`` or empty.

    Attributes:
        id: The sample's.
        question: In plain text.
        references: Accepted answers.
        kind: Of question.
        source: Where the sample came from.
        turns: What the policy said.
        answer: What was judged.
        correct: The verdict; ``None`` is unscored.
        judge: Who judged.
        reason: Why so.
        well_formed: Whether every turn kept the format.
        flaws: Rules of the format that were broken.
        requested: Whether it saw a second view.
        futile: Whether that brought no more visual tokens.
        visual_tokens: Of all views shown.
        full_tokens: Of the original, shown once.
        views: Width and height of each view, in pixels.
        reward: Terms of the reward.
        step: Of training, where it was played during one.
        more: Anything else worth a line, by name.
    """

    id: str
    question: str
    references: tuple[str, ...] = ()
    kind: str = ""
    source: str = ""
    turns: tuple[Turn, ...] = ()
    answer: str | None = None
    correct: bool | None = None
    judge: str = ""
    reason: str = ""
    well_formed: bool | None = None
    flaws: tuple[str, ...] = ()
    requested: bool | None = None
    futile: bool = False
    visual_tokens: float | None = None
    full_tokens: float | None = None
    views: tuple[tuple[int, int], ...] = ()
    reward: Mapping[str, float | None] = field(default_factory=dict)
    step: int | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """See :data:`Key`."""
        return self.id, self.question


@dataclass(frozen=True, slots=True)
class Cost:
    """What a policy's turns took, as the paper's Fig. 4 compares (arXiv 2507.13348).

    Attributes:
        n: Episodes.
        seconds: Of the agent, an episode; ``None`` where nothing tells.
        tokens: Generated, an episode; ``None`` where the agent does not count them.
        interval: 95 % of ``tokens``.
    """

    n: int
    seconds: float | None
    tokens: float | None
    interval: Sequence[float] | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy on one set of data.

    Attributes:
        name: What tables call it; unique in a report.
        rows: Its episodes.
        numbers: Its result as in ``result.json``; ``None`` where nothing tells it.
        agent: Who played.
        mode: How its decision to ask was made, where the result says so.
        protocol: The rules, where the result says so.
        data: Spec of the source that was played, or, of several, their names.
        places: By a row's source, the spec that was played, where they were several.
        costs: By data set.
        folder: The folder that was named, which groups policies.
        origin: Where the result comes from.
    """

    name: str
    rows: Sequence[Row]
    numbers: Mapping[str, Any] | None = None
    agent: str = ""
    mode: str = ""
    protocol: str = ""
    data: str = ""
    folder: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def data_of(self, row: Row) -> str:
        """The spec of the source that a row is from."""
        return self.places.get(row.source, self.data)


@dataclass(frozen=True, slots=True)
class Suite:
    """An agent's line for each benchmark and mode, as in ``suite.json``."""

    name: str
    lines: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: a name and a mapping a step, as in ``metrics.jsonl``."""

    name: str
    metrics: Sequence[Mapping[str, Any]]


class Notes:
    """What had to be left out or could not be read: said on the page and in the terminal."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, what: str, where: str = "") -> None:
        """Note something; the same thing in several places is one line."""
        self._counts[what] += 1
        self._first.setdefault(what, where)

    def lines(self) -> list[str]:
        """A sentence each, with how often and where first."""
        made: list[str] = []
        for what, count in self._counts.items():
            often = f"{count:,} times, first in " if count > 1 else ""
            where = self._first[what]
            made.append(f"{what} ({often}{where})" if where else what)
        return made


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was read, in the order of tables; the first policy is looked at first."""

    policies: Sequence[Policy]
    runs: Sequence[Run]
    suites: Sequence[Suite]
    notes: Notes
