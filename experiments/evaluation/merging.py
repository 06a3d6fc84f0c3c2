"""Shards that were played apart, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.evaluation.journal import (
    CONFIG,
    JOURNAL,
    RESULT,
    check_same,
    open_journal,
    read_config,
    read_entries,
)
from experiments.evaluation.player import Entry
from experiments.evaluation.result import Result, mode_result, write_results
from experiments.files import write_json
from vt_env import ConfigError, DataError


def merge(shards: Sequence[Path], out: Path, *, overwrite: bool = False) -> Result:
    """Make of shards what one process would have made.

    Args:
        shards: Their folders, all of one evaluation.
        out: Where results go.
        overwrite: Whether to replace what is there.

    Returns:
        The result, over modes if there are any.

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
        if found != names:
            raise DataError(
                f"{shard} holds {', '.join(map(str, found)) or 'no shard'}, and {shards[0]} holds "
                f"{', '.join(map(str, names)) or 'no shard'}: shards have the same modes"
            )
    results = {name: _merged([shard / name for shard in shards], out / name, overwrite)
               for name in names}  # fmt: skip
    if names == [Path()]:
        return results[Path()]
    by_mode = {result["mode"]: (result, name) for name, result in results.items()}
    result = mode_result(
        {mode: result for mode, (result, _) in by_mode.items()},
        out,
        {mode: str(name) for mode, (_, name) in by_mode.items()},
    )
    write_json(out / RESULT, result)
    return result


def _leaves(shard: Path) -> list[Path]:
    """The folders in a shard that hold an evaluation: itself, or one a mode.

    Raises:
        DataError: If there is none.
    """
    found = sorted(path.parent.relative_to(shard) for path in shard.glob(f"**/{CONFIG}"))
    if not found:
        raise DataError(f"{shard} holds no evaluation: there is no {CONFIG} in it")
    if any(len(leaf.parts) > 1 for leaf in found):
        raise DataError(f"{shard} holds several agents; merge the folder of each")
    return found


def _merged(folders: Sequence[Path], out: Path, overwrite: bool) -> Result:
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
    result = write_results(out, config, entries())
    (out / JOURNAL).unlink()
    return result
