"""Our agent answers lmms-eval's requests; what it was shown is written down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from agents import make_agent
from agents.scripted import Oracle
from experiments.benchmarks.judging import unboxed
from experiments.evaluation.modes import TRAINED, parse_mode
from experiments.evaluation.player import Part, Player, Setup
from experiments.files import json_line
from experiments.lmms.facts import FORMAT, HEAD, SEEN
from experiments.lmms.requests import Nobody, Request, Requests
from vt_env import ConfigError, DataError
from vt_env.protocol import make_protocol

PART = "lmms-eval"
Unplayable = Literal["error", "empty"]
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Answered:
    """What lmms-eval is given.

    Attributes:
        text: The answer; empty where there is none.
        generated: Tokens that the agent generated; ``None``: not known.
        read: Tokens of what it read, pictures included, where the agent says so.
    """

    text: str
    generated: int | None = None
    read: int | None = None


@dataclass(frozen=True)
class Settings:
    """How requests are played.

    Attributes:
        agent: Its spec.
        facts: Where what it was shown is written; there must be no such file.
        mode: A mode of ``vt eval``, except ``random@trained``.
        seed: Of the rollouts.
        batch: Requests at once.
        unplayable: What becomes of requests that an episode cannot show: ``error`` looks for them
            before anything is played, and stops; ``empty`` answers them with an empty text.
        rules: ``tokens``, ``prompt``, ``factor``, ``max_turns``, ``first_look`` and ``tools``, as
            :func:`vt_env.make_task` takes them; ``None`` where the mode's own hold.

    Raises:
        ConfigError: On a value that there is not, or if ``facts`` is there.
    """

    agent: str
    facts: Path
    mode: str = "visionthink"
    seed: int = 0
    batch: int = 1
    unplayable: Unplayable = "error"
    rules: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if self.mode == TRAINED:
            raise ConfigError(f"{TRAINED} has no rate here: give it as random@RATE")
        parse_mode(self.mode)
        if self.batch < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch}")
        if self.unplayable not in get_args(Unplayable):
            raise ConfigError(f"unplayable must be error or empty, got {self.unplayable!r}")
        if self.facts.exists():
            raise ConfigError(f"{self.facts} is there already: choose another facts=FILE")


class Answering:
    """Answers requests.

    Args:
        settings: How.

    Raises:
        ConfigError: If the agent or the rules cannot be had, or the agent reads the references.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._mode = parse_mode(settings.mode)
        self._rules = {key: value for key, value in settings.rules.items() if value is not None}
        protocol = self._mode.protocol("visionthink")
        rules = make_protocol(protocol, **self._mode.rules(self._rules))
        self._mode.check(rules)
        self._held = ExitStack()
        self._agent = make_agent(settings.agent)
        if isinstance(self._agent, Oracle):
            raise ConfigError("the oracle reads the references, which lmms-eval does not tell")
        settings.facts.parent.mkdir(parents=True, exist_ok=True)
        head = {
            HEAD: FORMAT,
            "agent": settings.agent,
            "mode": settings.mode,
            "protocol": protocol,
            "tokens": rules.tokens.name,
            "seed": settings.seed,
            "rules": self._rules,
        }
        self._write([head])

    def answer(
        self, requests: Sequence[Request], told: Callable[[int], None] = lambda _: None
    ) -> list[Answered]:
        """One answer a request, in order; the facts are on disk after each batch.

        Args:
            requests: All of a run.
            told: Called with the number done.

        Raises:
            DataError: If a request cannot be played, and ``unplayable`` is ``error``.
        """
        source = Requests(requests)
        places = range(len(requests))
        if self.settings.unplayable == "error":
            self._stop_at([source.read(range(at, at + 1)) for at in places])
        part = Part(PART, source, Nobody())
        player = Player(Setup(self._agent, [part], "visionthink", self._rules, self.settings.seed))
        self._held.callback(player.close)
        answered: list[Answered] = []
        for start in range(0, len(requests), self.settings.batch):
            block = places[start : start + self.settings.batch]
            played = self._play(player, source, block)
            self._write([
                {**_asked(requests[at]), **fact} for at, fact in zip(block, played, strict=True)
            ])  # fmt: skip
            answered += [_answered(fact) for fact in played]
            told(len(answered))
            if self.settings.unplayable == "error":
                self._stop_at([
                    {requests[at].id: fact["refused"]}
                    for at, fact in zip(block, played, strict=True) if "refused" in fact
                ])  # fmt: skip
        return answered

    def _play(self, player: Player, source: Requests, block: range) -> list[dict[str, Any]]:
        """What there is to say of each request of a batch."""
        ids = source.ids()
        refused = source.read(block)
        left = [(at, ids[at]) for at in block if ids[at] not in refused]
        entries = player.play(PART, self._mode, left) if left else []
        facts: dict[int, dict[str, Any]] = {
            at: {"refused": refused[ids[at]]} for at in block if ids[at] in refused
        }
        seconds = next((e["spent"]["agent_seconds"] for e in entries if "spent" in e), 0.0)
        played = sum("row" in entry for entry in entries)
        for entry in entries:
            if "refused" in entry:
                facts[entry["at"]] = {"refused": entry["refused"]["reason"]}
            elif "row" in entry:
                row = entry["row"]
                facts[entry["at"]] = {
                    "answer": row["answer"],
                    "returned": unboxed(row["answer"] or ""),
                    **{key: row[key] for key in SEEN},
                    "agent_seconds": seconds / played,
                    "batch": played,
                }
        return [facts[at] for at in block]

    def _stop_at(self, found: Sequence[Mapping[str, str]]) -> None:
        """Raise for requests that cannot be played, if there are any."""
        refused = {name: reason for one in found for name, reason in one.items()}
        if refused:
            shown = "; ".join(reason for reason in list(refused.values())[:_SHOWN])
            raise DataError(
                f"{len(refused)} requests cannot be played: {shown}"
                f"{'; …' if len(refused) > _SHOWN else ''}. Leave the task out, or add "
                "unplayable=empty to --model_args: they are then answered with an empty text, "
                "which a task mostly calls wrong; vt eval --from lmms:PATH leaves them out and "
                "counts them"
            )

    def _write(self, lines: Sequence[Mapping[str, Any]]) -> None:
        with self.settings.facts.open("a", encoding="utf-8") as stream:
            stream.writelines(map(json_line, lines))
            stream.flush()
            os.fsync(stream.fileno())

    def close(self) -> None:
        """Let go of what the agent holds."""
        self._held.close()


def _asked(request: Request) -> dict[str, Any]:
    return {key: getattr(request, key) for key in ("task", "split", "doc_id", "repeat", "question")}


def _answered(fact: Mapping[str, Any]) -> Answered:
    if "refused" in fact:
        return Answered("")
    read = [turn["prompt_tokens"] for turn in fact["turns"]]
    total = None if None in read else sum(read)
    return Answered(fact["returned"], fact["generated_tokens"], total)
