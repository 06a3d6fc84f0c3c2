"""One agent over parts and modes: hand out what is left to play, keep it, sum it up.

Shards that were played apart are put together by :func:`merge`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.registry import says_calls
from experiments.episodes import Row, read_rows
from experiments.evaluation.modes import Mode, parse_mode
from experiments.evaluation.player import (
    NO_PLACE,
    Block,
    Entry,
    Metrics,
    Player,
    check_refused,
    refusal_of,
)
from experiments.evaluation.result import (
    CONFIG,
    EPISODES,
    JOURNAL,
    OWNS,
    RESULT,
    Config,
    Journal,
    Result,
    check_same,
    finish,
    mode_result,
    open_journal,
    read_config,
    read_entries,
    read_result,
    write_results,
)
from experiments.evaluation.workers import Workers
from experiments.files import write_json
from experiments.provenance import fingerprints
from trainers.files import write_sealed
from trainers.results import PRIVATE
from vt_env import ConfigError, DataError

Progress = Callable[[str, int, int], None]
"""Called with what is played (a mode's name, or the part's), samples done, and samples in all."""

FORMAT = 2
"""Of journals; a journal of another format cannot be gone on with."""


@dataclass(frozen=True, slots=True)
class Options:
    """How an evaluation is carried out.

    Attributes:
        limit: Samples of each part, from the start, however often each is played; all by default.
        batch: Samples of a block.
        max_refused: Share of a part's pictures that may be refused.
        shard: ``(i, n)`` plays the blocks i, i + n, i + 2n, … only, and sums nothing up.
    """

    limit: int | None = None
    batch: int = 16
    max_refused: float = 0.1
    shard: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.batch < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(
                f"limit and batch must be at least 1, got {self.limit} and {self.batch}"
            )
        if self.shard is not None and not 0 <= self.shard[0] < self.shard[1]:
            i, n = self.shard
            raise ConfigError(f"a shard is I/N with 0 <= I < N, got {i}/{n}")


def playable(
    player: Player, parts: Sequence[str], modes: Sequence[Mode], options: Options
) -> dict[str, list[Mode]]:
    """Find out before anything is played whether every mode can be, and on which parts.

    Returns:
        By part the modes to play, in order. One that shows the place of the answer is left out
        where no sample tells it; where only some do, the others are left out of it as they come.

    Raises:
        ConfigError: If a mode goes with the rules or with shards in no way.
        DataError: If a mode can be played on no part.
    """
    if options.shard and (late := next((mode for mode in modes if mode.needs), None)):
        raise ConfigError(
            f"{late.name} needs the {', '.join(late.needs)} of all shards: play it unsharded, or "
            "with --shards; random@RATE takes a rate that is known"
        )
    found: dict[str, list[Mode]] = {}
    for part in parts:
        limit = options.limit and options.limit * player.setup.part(part).repeat
        for mode in modes or [Mode()]:
            says = mode.forced and says_calls(player.setup.plays(mode))
            mode.check(player.task(part, mode).protocol, says)
            if not mode.boxes or player.opened.has_places(part, limit):
                found.setdefault(part, []).append(mode)
    for mode in modes:
        if not any(mode in some for some in found.values()):
            raise DataError(
                f"the mode {mode.name!r} needs samples that say where the answer is, in "
                "metadata['answer_box'], and none does"
            )
    return found


class Evaluation:
    """Plays parts in modes.

    Args:
        player: Knows the setup; it need not play itself.
        workers: Who plays.
        options: How.
        progress: Hears how far it is.
        notice: Hears what a user should know.
    """

    def __init__(
        self,
        player: Player,
        workers: Workers,
        options: Options,
        progress: Progress = lambda *_: None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.player = player
        self.workers = workers
        self.options = options
        self.progress = progress
        self.notice = notice
        self._weights: dict[str, Mapping[str, str]] = {}

    def _folders(self, several: bool = True) -> list[tuple[str, str]]:
        """The parts, each with its folder in that of the results."""
        parts = enumerate(self.player.setup.parts)
        return [(part.name, part_folder(i, part.name) if several else "") for i, part in parts]

    def parts(self, modes: Sequence[Mode], out: Path) -> dict[str, Result]:
        """Several parts, each in a folder of its own; results by part.

        A part on which no mode can be played has none; see :func:`playable`.
        """
        folders = dict(self._folders())
        found = playable(self.player, list(folders), modes, self.options)
        for part in folders:
            for mode in modes:
                if mode not in found.get(part, ()):
                    self.notice(f"{part} {NO_PLACE}: without {mode.name}")
        return {
            part: result
            for part, some in found.items()
            if (result := self._part(part, some, out / folders[part]))
        }

    def names(self, modes: Sequence[Mode], *, several: bool) -> list[str]:
        """The names that will be written, relative to the folder of results.

        Args:
            modes: As they will be played.
            several: Whether by :meth:`parts`.
        """
        places = [
            Path(folder, leaf)
            for _, folder in self._folders(several)
            for leaf in (*(mode.folder for mode in modes), "")
        ]
        return [(place / name).as_posix() for place in places for name in OWNS]

    def check(self, modes: Sequence[Mode], out: Path, *, several: bool) -> None:
        """Find out before anything is played whether what is there is of the same evaluation.

        Args:
            modes: As they will be played.
            out: The folder of results.
            several: Whether by :meth:`parts`.
        """
        for part, folder in self._folders(several):
            for mode in modes or [Mode()]:
                leaf = out / folder / mode.folder
                if (leaf / CONFIG).exists() and not mode.needs:  # what it does is not known yet
                    config = self._config(part, mode, self._blocks(part)[1])
                    check_same(leaf, read_config(leaf), json.loads(json.dumps(config)))

    def part(self, part: str, modes: Sequence[Mode], out: Path) -> Result | None:
        """One part; in ``out``, or with modes in folders in it, and ``out/result.json`` over them.

        Returns:
            Its result; ``None`` of a shard.
        """
        found = playable(self.player, [part], modes, self.options)
        return self._part(part, found[part], out)

    def _part(self, part: str, modes: Sequence[Mode], out: Path) -> Result | None:
        if not modes[0].name:
            return self._leaf(part, modes[0], out)
        results: dict[str, Result] = {}
        for mode in sorted(modes, key=lambda mode: bool(mode.needs)):
            mode = mode.settled({name: _rows(out, results, name) for name in mode.needs})
            if result := self._leaf(part, mode, out / mode.folder):
                results[mode.name] = result
        if self.options.shard:
            return None
        ordered = {mode.name: results[mode.name] for mode in modes}
        return _over_modes(out, ordered, {mode.name: out / mode.folder for mode in modes})

    def _leaf(self, part: str, mode: Mode, folder: Path) -> Result | None:
        """One part in one mode; ``None`` of a shard."""
        blocks, total = self._blocks(part)
        config = self._config(part, mode, total)
        journal = open_journal(folder, config)
        if journal is None:
            return read_result(folder)
        self._play(part, mode, blocks, journal)
        if self.options.shard:
            return None
        return finish(folder, config, self.player.setup.part(part).metrics)

    def _play(self, part: str, mode: Mode, blocks: Sequence[Block], journal: Journal) -> None:
        name, total = mode.name or part, sum(map(len, blocks))
        if journal.lost:
            self.notice(f"{journal.path}: {journal.lost}")
        if journal.done:
            self.notice(f"{name}: {len(journal.done)} of {total} samples are done already")
        left = [[(at, i) for at, i in block if at not in journal.done] for block in blocks]
        self.progress(name, len(journal.done), total)
        for entries in self.workers.play(part, mode, [block for block in left if block]):
            journal.append(entries)
            self.progress(name, len(journal.done), total)
            if reasons := list(filter(None, map(refusal_of, entries))):
                check_refused(journal.refused, total, self.options.max_refused, reasons[-1])

    def _blocks(self, part: str) -> tuple[list[Block], int]:
        """The blocks of this shard, and the number of samples of all."""
        source, options = self.player.opened.source(part), self.options
        times = self.player.setup.part(part).repeat
        ids = list(source.ids()[: options.limit and options.limit * times])
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
        agent = setup.plays(mode)
        named = _spec(agent)
        if named not in self._weights:
            self._weights[named] = fingerprints(agent)
        weights = self._weights[named]
        return {
            "format": FORMAT,
            "agent": named,
            **({"reference_of": _spec(setup.agent)} if agent is not setup.agent else {}),
            **({"checkpoint": weights} if weights else {}),
            "data": _spec(given.data),
            **({"repeat": given.repeat} if given.repeat > 1 else {}),
            "fingerprint": task.source.fingerprint(),
            "samples": total,
            **mode.described(),
            "protocol": mode.protocol or setup.protocol,
            "judge": _spec(given.judge),
            "judge_name": task.judge.name,
            "tokens": rules.tokens.name,
            "factor": rules.factor,
            "tools": [tool.name for tool in rules.tools],
            "max_turns": rules.max_turns,
            "first_look": rules.look,
            **{name: value for name, value in rules.budgets.items() if name != "max_turns"},
            **({"max_pixels": bound} if (bound := rules.rules.shrink_above) else {}),
            "prompt": hashlib.sha256(repr(rules.prompt).encode()).hexdigest()[:16],
            "seed": setup.seed,
            "refused_rows": [{"id": str(r.row), "reason": r.reason} for r in task.source.refused],
            "n_refused": task.source.n_refused,
            "shard": None if shard is None else f"{shard[0]}/{shard[1]}",
        }


def _spec(given: object) -> str:
    """A spec, or the name of an agent, a source or a judge."""
    return given if isinstance(given, str) else given.name  # type: ignore[attr-defined]


def _rows(out: Path, results: Mapping[str, Result], mode: str) -> list[Row]:
    """The episodes of a mode that was played."""
    if not results[mode]["n"]:
        return []
    return list(read_rows(out / parse_mode(mode).folder / EPISODES))


def part_folder(place: int, name: str) -> str:
    """The folder of a part in that of an evaluation of several."""
    safe = "".join(c if c.isalnum() or c in "-_.=" else "_" for c in name).strip("_.")
    return safe or f"part{place}"


def _over_modes(out: Path, modes: Mapping[str, Result], folders: Mapping[str, Path]) -> Result:
    """A part's result: over its modes, which is written, or its only one where there are none."""
    if list(modes) == [""]:
        return modes[""]
    result = mode_result(modes, folders)
    write_json(out / RESULT, result)
    return result


def merge(
    shards: Sequence[Path],
    out: Path,
    *,
    metrics: Callable[[Config], Metrics | None] = lambda _: None,
) -> dict[str, Result]:
    """Make of shards what one process would have made.

    Args:
        shards: Their folders, all of one evaluation.
        out: Where results go; nothing of the kind is there yet.
        metrics: The further numbers of a part, from what ``evaluation.json`` says of it.

    Returns:
        The result of each part, over modes if there are any, by the part's folder: ``""`` where the
        shards themselves are one.
    """
    if any(out.resolve() == shard.resolve() for shard in shards):
        raise ConfigError(f"--out {out} is one of the shards; choose another folder")
    parts: dict[Path, dict[str, Path]] = {}
    results: dict[Path, Result] = {}
    for leaf, config in _shared(shards).items():
        results[leaf] = _merged([shard / leaf for shard in shards], out / leaf, metrics(config))
        parts.setdefault(_part(leaf, config), {})[config["mode"]] = leaf
    return {
        "" if part == Path() else str(part): _over_modes(
            out / part,
            {mode: results[leaf] for mode, leaf in leaves.items()},
            {mode: out / leaf for mode, leaf in leaves.items()},
        )
        for part, leaves in parts.items()
    }


def merged_names(shards: Sequence[Path]) -> list[str]:
    """The names that merging writes, relative to the folder of results."""
    folders = {place for leaf in _shared(shards) for place in (leaf, leaf.parent)}
    return [(folder / name).as_posix() for folder in folders for name in OWNS]


def _shared(shards: Sequence[Path]) -> dict[Path, Config]:
    """The folders that hold an evaluation in each of the shards, and which."""
    first = _leaves(shards[0])
    for shard in shards[1:]:
        if list(found := _leaves(shard)) != list(first):
            raise DataError(
                f"{shard} holds {', '.join(map(str, found))}, and {shards[0]} holds "
                f"{', '.join(map(str, first))}: shards have the same parts and modes"
            )
    return first


def _leaves(shard: Path) -> dict[Path, Config]:
    """The folders in a shard that hold an evaluation, and which: itself, or one a part or mode."""
    there = (path for path in shard.glob(f"**/{CONFIG}") if PRIVATE not in path.parts)
    found = sorted(path.parent.relative_to(shard) for path in there)
    if not found:
        raise DataError(f"{shard} holds no evaluation: there is no {CONFIG} in it")
    configs: dict[Path, Config] = {leaf: read_config(shard / leaf) for leaf in found}
    agents = {config.get("reference_of", config["agent"]) for config in configs.values()}
    if len(agents) > 1 or any(len(_part(leaf, c).parts) > 1 for leaf, c in configs.items()):
        raise DataError(f"{shard} holds several agents; merge the folder of each")
    return configs


def _part(leaf: Path, config: Config) -> Path:
    """The folder of the part that a folder is of: itself, or with a mode the one around it."""
    return leaf.parent if config["mode"] else leaf


def _merged(folders: Sequence[Path], out: Path, metrics: Metrics | None) -> Result:
    configs = [read_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        check_same(folder, config, configs[0], but=("shard",))

    def entries() -> Iterator[Entry]:
        for folder in folders:
            if not (folder / JOURNAL).exists():
                raise DataError(f"{folder} holds no shard: there is no {JOURNAL} in it")
            yield from read_entries(folder / JOURNAL)

    out.mkdir(parents=True, exist_ok=True)
    config = {**configs[0], "shard": None}
    result = write_results(out, config, entries(), metrics)
    write_sealed(out / CONFIG, config)
    return result
