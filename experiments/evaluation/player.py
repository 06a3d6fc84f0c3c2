"""Who plays blocks of samples: one a process, whichever process or machine that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

from agents import Agent, Conversation, Reply, closing, make_agent
from experiments.evaluation.modes import PLAIN, Mode
from experiments.evaluation.playing import play
from experiments.evaluation.rows import Row, episode_row
from vt_env import DataError, Judge, Task, VisionThinkError, make_judge, make_task, open_source
from vt_env.judges import close
from vt_env.judges.models import usage_of
from vt_env.sources import Source
from vt_env.vector import VisionThinkVectorEnv

Block = Sequence[tuple[int, str]]
"""Samples that are played at the same time: each one's place in its source, and its id."""

Entry = dict[str, Any]
"""``{"at": place, "row": …}``, ``{"at": place, "refused": …}``, or ``{"spent": …}``: see
:class:`Player`."""

Metrics = Callable[[Sequence[Row]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Part:
    """A source with its judge.

    Attributes:
        name: Unique within an evaluation.
        data: The source or its spec.
        judge: The judge or its spec.
        rules: What of :func:`vt_env.make_task`'s rules differs from the evaluation's.
        metrics: Further numbers of the result, from rows that are given with all their fields.
    """

    name: str
    data: str | Source
    judge: str | Judge = "auto"
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Metrics | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a player needs to know; specs only where it is sent to other processes.

    Attributes:
        agent: The agent or its spec.
        parts: What can be played.
        protocol: Of modes that have none of their own.
        rules: ``tokens``, ``prompt``, ``factor``, … as :func:`vt_env.make_task` takes them.
        seed: Of the rollouts.
        fingerprints: By part, what the source's has to be; not checked where there is none.
    """

    agent: str | Agent
    parts: Sequence[Part]
    protocol: str = "visionthink"
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seed: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])

    def part(self, name: str) -> Part:
        """The part of that name."""
        return next(part for part in self.parts if part.name == name)

    def to_send(self) -> Setup:
        """The same without what only the one who sums up needs."""
        return replace(self, parts=[replace(part, metrics=None) for part in self.parts])


class Opened:
    """The sources and judges of an evaluation's parts, opened when they are first needed.

    Args:
        parts: By whatever name they are asked for.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = {part.name: part for part in parts}
        self._sources: dict[str, Source] = {}
        self._judges: dict[str, Judge] = {}
        self._held = ExitStack()

    def source(self, part: str) -> Source:
        """A part's source."""
        if part not in self._sources:
            self._sources[part] = open_source(self._parts[part].data)
        return self._sources[part]

    def judge(self, part: str) -> Judge:
        """A part's judge."""
        if part not in self._judges:
            spec = self._parts[part].judge
            judge = self._judges[part] = make_judge(spec)
            if isinstance(spec, str):
                self._held.callback(close, judge)
        return self._judges[part]

    def close(self) -> None:
        """Let go of the judges that were made here."""
        self._held.close()


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
        self._agent: Agent | None = None
        self._tasks: dict[tuple[str, Mode], Task] = {}
        self._envs: dict[tuple[str, Mode, int], VisionThinkVectorEnv] = {}
        self._checked: set[str] = set()

    @property
    def agent(self) -> Agent:
        """Who plays."""
        if self._agent is None:
            self._agent = self._held.enter_context(closing(make_agent(self.setup.agent)))
        return self._agent

    def with_fingerprints(self) -> Setup:
        """The setup for machines that have their own copy of the data."""
        names = [part.name for part in self.setup.parts]
        found = {name: self.opened.source(name).fingerprint() for name in names}
        return replace(self.setup, fingerprints=found)

    def task(self, part: str, mode: Mode) -> Task:
        """What is played of a part in a mode; all modes share source and judge."""
        if (part, mode) not in self._tasks:
            self._tasks[part, mode] = make_task(
                self.opened.source(part),
                protocol=mode.protocol(self.setup.protocol),
                judge=self.opened.judge(part),
                **mode.rules({**self.setup.rules, **self.setup.part(part).rules}),
            )
        return self._tasks[part, mode]

    def play(self, part: str, mode: Mode, block: Block) -> list[Entry]:
        """Play a block.

        Returns:
            An entry for each sample, in the block's order: its row, or why it was refused. And one
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
        agent = _Clocked(mode.player(self.agent, self.task(part, PLAIN).protocol))
        usage = usage_of(env.task.judge)
        before = usage and usage.copy()
        start = perf_counter()
        samples = [env.task.source[at] for at, _ in block]
        episodes, refused = play(env, agent, samples, self.setup.seed)
        seconds = perf_counter() - start
        after = usage_of(env.task.judge)
        spent: Entry = {"seconds": seconds, "agent_seconds": agent.seconds}
        if after is not None and before is not None:
            spent["judging"] = asdict(after.since(before))
        told = {r.id: {"refused": asdict(r)} for r in refused}
        told |= {e.sample.id: {"row": episode_row(e)} for e in episodes}
        return [*({"at": at, **told[name]} for at, name in block), {"spent": spent}]

    def _check(self, part: str, block: Block) -> None:
        """Whether the data here is what the one who hands out blocks has.

        Raises:
            DataError: If it is not.
        """
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
        """As :meth:`Player.play`.

        Raises:
            WorkerError: What a user did wrong.
        """
        try:
            return self._player.play(part, mode, block)
        except VisionThinkError as error:
            raise WorkerError(str(error)) from None

    def close(self) -> None:
        """As :meth:`Player.close`."""
        self._player.close()
