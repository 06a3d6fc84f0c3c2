"""Shards that were played apart, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from experiments.evaluation.journal import (
    CONFIG,
    JOURNAL,
    RESULT,
    Config,
    check_same,
    open_journal,
    read_config,
    read_entries,
)
from experiments.evaluation.player import Entry, Metrics
from experiments.evaluation.result import Result, mode_result, write_results
from experiments.files import write_json
from vt_env import ConfigError, DataError

MetricsOf = Callable[[Config], Metrics | None]


def merge(
    shards: Sequence[Path],
    out: Path,
    *,
    overwrite: bool = False,
    metrics: MetricsOf = lambda _: None,
) -> dict[str, Result]:
    """Make of shards what one process would have made.

    Args:
        shards: Their folders, all of one evaluation.
        out: Where results go.
        overwrite: Whether to replace what is there.
        metrics: The further numbers of a part, from what ``evaluation.json`` says of it.

    Returns:
        The result of each part, over modes if there are any, by the part's folder: ``""`` where the
        shards themselves are one.

    Raises:
        ConfigError: If they are not of the same evaluation, or ``out`` is one of them or holds
            something.
        DataError: If samples are missing, or there twice, or a folder holds no shard.
    """
    if any(out.resolve() == shard.resolve() for shard in shards):
        raise ConfigError(f"--out {out} is one of the shards; choose another folder")
    leaves = {shard: _leaves(shard) for shard in shards}
    names = leaves[shards[0]]
    for shard, found in leaves.items():
        if list(found) != list(names):
            raise DataError(
                f"{shard} holds {', '.join(map(str, found)) or 'no shard'}, and {shards[0]} holds "
                f"{', '.join(map(str, names)) or 'no shard'}: shards have the same parts and modes"
            )
    parts: dict[str, dict[str, tuple[Result, str]]] = {}
    for name, config in names.items():
        result = _merged([shard / name for shard in shards], out / name, overwrite, metrics(config))
        part = _part(name, config)
        told = (result, str(name.relative_to(part)))
        parts.setdefault("" if part == Path() else str(part), {})[config["mode"]] = told
    return {part: _over_modes(out / part, modes) for part, modes in parts.items()}


def _over_modes(out: Path, modes: Mapping[str, tuple[Result, str]]) -> Result:
    """A part's result: its only one, or that over its modes, which is written."""
    if list(modes) == [""]:
        return modes[""][0]
    result = mode_result(
        {mode: result for mode, (result, _) in modes.items()},
        out,
        {mode: folder for mode, (_, folder) in modes.items()},
    )
    write_json(out / RESULT, result)
    return result


def _part(leaf: Path, config: Config) -> Path:
    """The folder of the part that a folder is of: itself, or with a mode the one around it."""
    return leaf.parent if config["mode"] else leaf


def _leaves(shard: Path) -> dict[Path, Config]:
    """The folders in a shard that hold an evaluation, and which: itself, or one a part or mode.

    Raises:
        DataError: If there is none, or they are of several agents.
    """
    found = sorted(path.parent.relative_to(shard) for path in shard.glob(f"**/{CONFIG}"))
    if not found:
        raise DataError(f"{shard} holds no evaluation: there is no {CONFIG} in it")
    configs: dict[Path, Config] = {leaf: read_config(shard / leaf) for leaf in found}
    agents = {config["agent"] for config in configs.values()}
    if len(agents) > 1 or any(len(_part(leaf, c).parts) > 1 for leaf, c in configs.items()):
        raise DataError(f"{shard} holds several agents; merge the folder of each")
    return configs


def _merged(folders: Sequence[Path], out: Path, overwrite: bool, metrics: Metrics | None) -> Result:
    configs = [read_config(folder) for folder in folders]
    for folder, config in zip(folders, configs, strict=True):
        check_same(folder, config, configs[0], but=("shard",))
    config = {**configs[0], "shard": None}

    def entries() -> Iterator[Entry]:
        for folder in folders:
            if not (folder / JOURNAL).exists():
                raise DataError(f"{folder} holds no shard: there is no {JOURNAL} in it")
            yield from read_entries(folder / JOURNAL)

    journal = open_journal(out, config, resume=False, overwrite=overwrite)
    assert journal is not None
    journal.close()
    result = write_results(out, config, entries(), metrics)
    (out / JOURNAL).unlink()
    return result
