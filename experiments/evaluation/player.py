"""Who plays blocks of samples: one a process, whichever process or machine that is.

A picture that is refused does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from time import perf_counter
from typing import Any

from agents import Agent, Conversation, Episode, Reply, closing, make_agent, rollout
from experiments.episodes import Row, episode_row
from experiments.evaluation.modes import PLAIN, Mode
from vt_env import (
    DataError,
    Judge,
    PictureError,
    Task,
    VisionThinkError,
    make_judge,
    make_task,
    open_source,
)
from vt_env.judges import JudgeLike
from vt_env.sources import Source
from vt_env.sources.repeated import RepeatedSource
from vt_env.tokens import family_in
from vt_env.vector import VisionThinkVectorEnv

Block = Sequence[tuple[int, str]]
"""Samples that are played at the same time: each one's place in its source, and its id."""

Entry = dict[str, Any]
"""``{"at": place, "row": …}``, ``{"at": place, "refused": …}``, or ``{"spent": …}``: see
:class:`Player`."""

NO_PLACE = "does not say where the answer is"
"""Why a mode that shows that place leaves a sample out."""

Numbers = Callable[[Sequence[Row]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Further numbers of a result.

    Attributes:
        each: Numbers from the rows of one repetition, of which results have the means: they may put
            several rows together, and those of one repetition are a whole data set.
        whole: Numbers from all rows.
        fields: What of a row these read beside what every result is made of; ``None``: everything,
            so that whole rows are held in memory.
    """

    each: Numbers
    whole: Numbers | None = None
    fields: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A source with its judge.

    Attributes:
        name: Unique within an evaluation.
        data: The source or its spec.
        judge: The judge or its spec.
        rules: What of :func:`vt_env.make_task`'s rules differs from the evaluation's.
        metrics: Further numbers of the result.
        repeat: How often each sample is played.
    """

    name: str
    data: str | Source
    judge: str | JudgeLike = "auto"
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Metrics | None = None
    repeat: int = 1

    def open(self) -> Source:
        """The samples that are played."""
        source = open_source(self.data)
        return source if self.repeat == 1 else RepeatedSource(source, self.repeat)


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a player needs to know; specs only where it is sent to other processes.

    Attributes:
        agent: The agent or its spec.
        parts: What can be played.
        protocol: Of modes that have none of their own.
        rules: ``tokens``, ``prompt``, ``factor``, … as :func:`vt_env.make_task` takes them.
        seed: Of the rollouts.
        reference: Who plays the modes in which the agent does not decide; by default the agent.
        fingerprints: By part, what the source's has to be; not checked where there is none.
    """

    agent: str | Agent
    parts: Sequence[Part]
    protocol: str = "visionthink"
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    reference: str | Agent | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])

    def plays(self, mode: Mode) -> str | Agent:
        """Who plays in a mode."""
        return self.agent if mode.decides or self.reference is None else self.reference

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def to_send(self) -> Setup:
        """The same without what only the one who sums up needs."""
        return replace(self, parts=[replace(part, metrics=None) for part in self.parts])


class Opened:
    """The sources and judges of an evaluation's parts, opened when they are first needed.

    Attributes:
        source: A part's source, by its name.
        judge: A part's judge.
        has_places: Whether any of a part's first samples (``None``: of all) says where the answer
            is.
        close: Lets go of the judges that were made here.

    Args:
        parts: What is played.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        held, named = ExitStack(), {part.name: part for part in parts}

        def judge_of(part: str) -> Judge:
            spec = named[part].judge
            judge = make_judge(spec)
            if isinstance(spec, str):
                held.callback(judge.close)
            return judge

        self.source: Callable[[str], Source] = cache(lambda part: named[part].open())
        self.judge: Callable[[str], Judge] = cache(judge_of)
        self.has_places = cache(self._has_places)
        self.close = held.close

    def _has_places(self, part: str, limit: int | None) -> bool:
        source = self.source(part)
        return any(source.by_id(i).answer_box is not None for i in source.ids()[:limit])


class Player:
    """Plays blocks. The agent is made when it is first needed.

    Args:
        setup: What is played.
        opened: Sources and judges, where they are shared; whoever made them closes them.
    """

    def __init__(self, setup: Setup, opened: Opened | None = None) -> None:
        self.setup = setup
        self._held = ExitStack()
        if opened is None:
            opened = Opened(setup.parts)
            self._held.callback(opened.close)
        self.opened = opened
        self._agents: dict[int, Agent] = {}
        self._tasks: dict[tuple[str, Mode], Task] = {}
        self._envs: dict[tuple[str, Mode, int], VisionThinkVectorEnv] = {}
        self._checked: set[str] = set()

    def agent(self, mode: Mode) -> Agent:
        """Who plays in a mode."""
        spec = self.setup.plays(mode)
        if id(spec) not in self._agents:
            self._agents[id(spec)] = self._held.enter_context(closing(make_agent(spec)))
        return self._agents[id(spec)]

    def with_fingerprints(self) -> Setup:
        """The setup for machines that have their own copy of the data."""
        names = [part.name for part in self.setup.parts]
        found = {name: self.opened.source(name).fingerprint() for name in names}
        return replace(self.setup, fingerprints=found)

    def task(self, part: str, mode: Mode) -> Task:
        """What is played of a part in a mode; all modes share source and judge."""
        if (part, mode) not in self._tasks:
            task = make_task(
                self.opened.source(part),
                protocol=mode.protocol or self.setup.protocol,
                judge=self.opened.judge(part),
                **mode.rules(self._rules(part)),
            )
            if mode.changes is not None:
                plain = self.task(part, PLAIN).protocol
                task = replace(task, protocol=mode.changes(task.protocol, plain))
            self._tasks[part, mode] = task
        return self._tasks[part, mode]

    def _rules(self, part: str) -> dict[str, Any]:
        """What replaces the protocols' own; tokens are those of the agent's model by default."""
        rules = {**self.setup.rules, **self.setup.part(part).rules}
        if rules.get("tokens") is None and self.opened.source(part).tokens is None:
            agent = self.setup.agent
            rules["tokens"] = family_in(agent if isinstance(agent, str) else agent.name)
        return rules

    def play(self, part: str, mode: Mode, block: Block) -> list[Entry]:
        """Play a block.

        Returns:
            An entry for each sample, in the block's order: its row, or why there is none. And one
            for what it took: ``seconds`` in all, ``agent_seconds`` of them in the agent, and
            ``judging``, the judge's counts, if it counts.
        """
        self._check(part, block)
        key = (part, mode, len(block))
        if key not in self._envs:
            self._envs[key] = VisionThinkVectorEnv(
                len(block), group_size=1, data=self.task(part, mode)
            )
        env = self._envs[key]
        agent = _Clocked(mode.player(self.agent(mode), self.task(part, PLAIN).protocol))
        usage = env.task.judge.usage
        before = usage and usage.copy()
        start = perf_counter()
        names = [name for _, name in block]
        placeless = _placeless(env.task.source, names) if mode.boxes else []
        left = {one.id for one in placeless}
        playable = [name for name in names if name not in left]
        episodes, refused = play(env, agent, playable, self.setup.seed)
        seconds = perf_counter() - start
        after = env.task.judge.usage
        spent: Entry = {"seconds": seconds, "agent_seconds": agent.seconds}
        if after is not None and before is not None:
            spent["judging"] = asdict(after.since(before))
        told = {r.id: {"refused": asdict(r)} for r in (*placeless, *refused)}
        told |= {e.sample.id: {"row": episode_row(e)} for e in episodes}
        return [*({"at": at, **told[name]} for at, name in block), {"spent": spent}]

    def _check(self, part: str, block: Block) -> None:
        """Whether the data here is what the one who hands out blocks has."""
        source = self.opened.source(part)
        expected = self.setup.fingerprints.get(part)
        if expected and part not in self._checked and source.fingerprint() != expected:
            raise DataError(f"the data {source.name!r} is another one where a shard is played")
        self._checked.add(part)
        ids = source.ids()
        for at, name in block:
            if at >= len(ids) or ids[at] != name:
                raise DataError(f"sample {at} of {source.name!r} is not {name!r} here")

    def close(self) -> None:
        """Let go of the agent, and of what else was made here."""
        self._held.close()


class _Clocked:
    """An agent, and how long its turns took."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.name = agent.name
        self.seconds = 0.0

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        start = perf_counter()
        replies = self.agent.act(conversations)
        self.seconds += perf_counter() - start
        return replies


class WorkerError(VisionThinkError, RuntimeError):
    """What went wrong in another process, in its words; or that the process is gone."""


class Worker:
    """A player for other processes: its errors can be sent."""

    def __init__(self, setup: Setup) -> None:
        self._player = Player(setup)

    def play(self, part: str, mode: Mode, block: Block) -> list[Entry]:
        """As :meth:`Player.play`."""
        try:
            return self._player.play(part, mode, block)
        except VisionThinkError as error:
            raise WorkerError(str(error)) from None

    def close(self) -> None:
        """As :meth:`Player.close`."""
        self._player.close()


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that could not be played, and why."""

    id: str
    reason: str
    kind: str = ""
    source: str = ""


def _placeless(source: Source, names: Sequence[str]) -> list[Refused]:
    """The samples that do not say where the answer is."""
    samples = [sample for name in names if (sample := source.by_id(name)).answer_box is None]
    return [Refused(sample.id, NO_PLACE, sample.kind, sample.source) for sample in samples]


def refusal_of(entry: Entry) -> str:
    """Why a picture was refused; empty where none was."""
    reason = entry.get("refused", {}).get("reason", "")
    return "" if reason == NO_PLACE else reason


def check_refused(refused: int, total: int, allowed: float, last: str) -> None:
    """Stop where too many pictures are refused.

    Args:
        refused: Pictures refused so far.
        total: Samples in all.
        allowed: The share that may be.
        last: Why the last was.
    """
    if refused > allowed * total:
        raise DataError(
            f"{refused} of {total} pictures are refused, more than the share of "
            f"{allowed:.0%} that is allowed; the last: {last}"
        )


def play(
    env: VisionThinkVectorEnv, agent: Agent, names: Sequence[str], seed: int
) -> tuple[list[Episode], list[Refused]]:
    """Episodes of the samples whose pictures are accepted, and refusals of the others.

    Args:
        env: Groups of one, at least as many as samples.
        agent: Who plays.
        names: The ids of what is played, at the same time.
        seed: Seeds the rollouts; each has a generator of its own, whatever it shares a batch with.
    """
    left = list(names)
    refused: list[Refused] = []
    while left:
        try:
            return rollout(env, agent, seed=seed, sample_ids=left), refused
        except PictureError as error:
            if error.sample_id not in left:
                raise
            left.remove(error.sample_id)
            sample = env.task.source.by_id(error.sample_id)
            refused.append(Refused(sample.id, str(error), sample.kind, sample.source))
    return [], refused
