"""One agent over parts and modes: hand out what is left to play, keep it, sum it up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.checkpoints import fingerprints
from experiments.evaluation.journal import RESULT, Config, Journal, clear, open_journal
from experiments.evaluation.modes import TRAINED, Mode
from experiments.evaluation.player import Block, Player
from experiments.evaluation.playing import check_refused
from experiments.evaluation.result import Result, finish, mode_result, read_result
from experiments.evaluation.workers import Workers
from experiments.files import write_json
from vt_env import ConfigError, DataError

Told = Callable[[str, int, int], None]
"""Called with what is played (a mode's name, or the part's), samples done, and samples in all."""

FORMAT = 1
"""Of journals; a journal of another format cannot be gone on with."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an evaluation is carried out.

    Attributes:
        limit: Samples of each part, from the start; all by default.
        batch: Samples of a block.
        max_refused: Share of a part's pictures that may be refused.
        resume: Whether to go on with what is there.
        overwrite: Whether to replace what is there.
        shard: ``(i, n)`` plays the blocks i, i + n, i + 2n, … only, and sums nothing up.

    Raises:
        ConfigError: On a value out of range, or both of ``resume`` and ``overwrite``.
    """

    limit: int | None = None
    batch: int = 16
    max_refused: float = 0.1
    resume: bool = False
    overwrite: bool = False
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(
                f"limit and batch must be at least 1, got {self.limit} and {self.batch}"
            )
        if self.resume and self.overwrite:
            raise ConfigError("--resume goes on with what is there, --overwrite begins anew")
        if self.shard is not None and not 0 <= self.shard[0] < self.shard[1]:
            i, n = self.shard
            raise ConfigError(f"a shard is I/N with 0 <= I < N, got {i}/{n}")


def check_modes(player: Player, part: str, modes: Sequence[Mode], options: Options) -> None:
    """Find out before anything is played whether every mode can be.

    Raises:
        ConfigError: If one cannot.
    """
    protocol = player.setup.protocol
    if modes and protocol != "visionthink":
        raise ConfigError(
            f"modes have protocols of their own; the protocol {protocol!r} goes without --mode"
        )
    if options.shard and any(mode.name == TRAINED for mode in modes):
        raise ConfigError(
            f"{TRAINED} needs the rate of all shards: play the others first, merge them, and "
            "give the rate as random@RATE"
        )
    for mode in modes:
        mode.check(player.task(part, mode).protocol)


class Evaluation:
    """Plays parts in modes.

    Args:
        player: Knows the setup; it need not play itself.
        workers: Who plays.
        options: How.
        told: Hears how far it is.
        notice: Hears what a user should know.
    """

    def __init__(
        self,
        player: Player,
        workers: Workers,
        options: Options,
        told: Told = lambda *_: None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.player = player
        self.workers = workers
        self.options = options
        self.told = told
        self.notice = notice
        self._weights: Mapping[str, str] | None = None

    def parts(self, modes: Sequence[Mode], out: Path) -> dict[str, Result]:
        """Several parts, each in a folder of its own; results by part."""
        return {
            part.name: result
            for place, part in enumerate(self.player.setup.parts)
            if (result := self.part(part.name, modes, out / _folder(place, part.name)))
        }

    def part(self, part: str, modes: Sequence[Mode], out: Path) -> Result | None:
        """One part; in ``out``, or with modes in folders in it, and ``out/result.json`` over them.

        Returns:
            Its result; ``None`` of a shard.

        Raises:
            ConfigError: On settings that contradict each other or what is in ``out``.
            DataError: If the data cannot be used, or too many pictures are refused.
        """
        if not modes:
            return self.leaf(part, Mode(), out)
        check_modes(self.player, part, modes, self.options)
        if self.options.overwrite:
            for folder in (out, *(out / mode.folder for mode in modes)):
                clear(folder)
        results: dict[str, Result] = {}
        for mode in sorted(modes, key=lambda mode: mode.name == TRAINED):
            if mode.name == TRAINED:
                mode = mode.trained(_rate(results["visionthink"]))
            if result := self.leaf(part, mode, out / mode.folder):
                results[mode.name] = result
        if self.options.shard:
            return None
        ordered = {mode.name: results[mode.name] for mode in modes}
        result = mode_result(ordered, out, {mode.name: mode.folder for mode in modes})
        write_json(out / RESULT, result)
        return result

    def leaf(self, part: str, mode: Mode, folder: Path) -> Result | None:
        """One part in one mode; ``None`` of a shard."""
        options = self.options
        blocks, total = self._blocks(part)
        config = self._config(part, mode, total)
        journal = open_journal(folder, config, resume=options.resume, overwrite=options.overwrite)
        if journal is None:
            return read_result(folder)
        try:
            self._play(part, mode, blocks, journal)
        finally:
            journal.close()
        if options.shard:
            return None
        return finish(folder, config, self.player.setup.part(part).metrics)

    def _play(self, part: str, mode: Mode, blocks: Sequence[Block], journal: Journal) -> None:
        name, total = mode.name or part, sum(map(len, blocks))
        if journal.torn:
            self.notice(f"{journal.path}: the last line had broken off; its sample is played again")
        if journal.done:
            self.notice(f"{name}: {len(journal.done)} of {total} samples are done already")
        left = [[(at, i) for at, i in block if at not in journal.done] for block in blocks]
        self.told(name, len(journal.done), total)
        for entries in self.workers.play(part, mode, [block for block in left if block]):
            journal.append(entries)
            self.told(name, len(journal.done), total)
            reasons = [e["refused"]["reason"] for e in entries if "refused" in e]
            if reasons:
                check_refused(journal.refused, total, self.options.max_refused, reasons[-1])

    def _blocks(self, part: str) -> tuple[list[Block], int]:
        """The blocks of this shard, and the number of samples of all.

        Raises:
            DataError: If two samples have one id: rows could not be told apart.
        """
        source, options = self.player.opened.source(part), self.options
        ids = list(source.ids()[: options.limit])
        if len(set(ids)) < len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise DataError(f"source {source.name!r} has the id {twice!r} twice")
        blocks: list[Block] = [
            list(enumerate(ids[start : start + options.batch], start))
            for start in range(0, len(ids), options.batch)
        ]
        if options.shard is not None:
            blocks = blocks[options.shard[0] :: options.shard[1]]
        return blocks, len(ids)

    def _config(self, part: str, mode: Mode, total: int) -> Config:
        """Everything that decides what the rows will be."""
        setup, task = self.player.setup, self.player.task(part, mode)
        given, rules, shard = setup.part(part), task.protocol, self.options.shard
        if self._weights is None:
            self._weights = fingerprints(setup.agent)
        refused = [{"id": str(r.row), "reason": r.reason} for r in task.source.refused]
        return {
            "format": FORMAT,
            "agent": setup.agent if isinstance(setup.agent, str) else setup.agent.name,
            **({"checkpoint": self._weights} if self._weights else {}),
            "data": given.data if isinstance(given.data, str) else given.data.name,
            "fingerprint": task.source.fingerprint(),
            "samples": total,
            "mode": mode.name,
            "rate": mode.rate,
            "protocol": mode.protocol(setup.protocol),
            "judge": given.judge if isinstance(given.judge, str) else given.judge.name,
            "judge_name": task.judge.name,
            "tokens": rules.tokens.name,
            "factor": rules.factor,
            "tools": [tool.name for tool in rules.tools],
            "max_turns": rules.max_turns,
            "first_look": rules.first_look,
            "prompt": hashlib.sha256(repr(rules.prompt).encode()).hexdigest()[:16],
            "seed": setup.seed,
            "refused_rows": refused,
            "shard": None if shard is None else f"{shard[0]}/{shard[1]}",
        }


def _rate(result: Mapping[str, Any]) -> float:
    rate = result["request_rate"]
    if rate is None:
        raise DataError(f"visionthink has no episode, so {TRAINED} has no rate")
    return rate


def _folder(place: int, name: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in name).strip("_.")
    return safe or f"part{place}"
