"""From the entries of a journal to ``episodes.jsonl`` and ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.evaluation.journal import EPISODES, JOURNAL, RESULT, Config, read_entries
from experiments.evaluation.player import Entry, Metrics
from experiments.evaluation.rows import Row, read_rows
from experiments.evaluation.table import FULL, side_by_side
from experiments.files import json_line, whole_file, write_json
from experiments.provenance import provenance
from experiments.summary import summarise
from vt_env import DataError
from vt_env.judges.models.usage import Usage, total

Result = dict[str, Any]
MEASURED = (
    "id",
    "kind",
    "source",
    "correct",
    "score",
    "requested",
    "well_formed",
    "futile_request",
    "visual_tokens",
    "full_tokens",
    "generated_tokens",
)
"""What of a row its numbers are made of."""


def slim(row: Row) -> Row:
    """A row without what no number is made of."""
    return {key: row[key] for key in MEASURED if key in row}


def finish(folder: Path, config: Config, metrics: Metrics | None = None) -> Result:
    """Make a folder's files of its journal, which goes.

    Raises:
        DataError: If samples are missing, or there twice.
    """
    result = write_results(folder, config, read_entries(folder / JOURNAL), metrics)
    (folder / JOURNAL).unlink()
    return result


def write_results(
    folder: Path, config: Config, entries: Iterable[Entry], metrics: Metrics | None = None
) -> Result:
    """Write ``episodes.jsonl``, in the source's order, and ``result.json``.

    Args:
        folder: Where to.
        config: What was evaluated.
        entries: What was done, in any order.
        metrics: Further numbers, from whole rows.

    Raises:
        DataError: If samples are missing, or there twice.
    """
    found: dict[int, Entry] = {}
    spent: list[Mapping[str, Any]] = []
    for entry in entries:
        if "spent" in entry:
            spent.append(entry["spent"])
        elif entry["at"] in found:
            raise DataError(f"{folder}: sample {entry['at']} was played twice")
        else:
            found[entry["at"]] = entry
    samples = config["samples"]
    if missing := [at for at in range(samples) if at not in found]:
        raise DataError(
            f"{folder}: {len(missing)} of {samples} samples are missing, the first is number "
            f"{missing[0]}; play the shards to their end (--resume) and merge all of them"
        )
    ordered = [found[at] for at in sorted(found)]
    rows = [entry["row"] for entry in ordered if "row" in entry]
    refused = [entry["refused"] for entry in ordered if "refused" in entry]
    with whole_file(folder / EPISODES) as stream:
        stream.writelines(json_line(row) for row in rows)
    result = {
        **summarised(rows, [*refused, *config["refused_rows"]], config["seed"], metrics),
        **_described(config),
        **_spent(spent),
        "refusals": [*refused, *config["refused_rows"]],
        "provenance": provenance(config["seed"], config["fingerprint"]),
    }
    write_json(folder / RESULT, result)
    return result


def summarised(
    rows: Sequence[Row],
    refused: Sequence[Mapping[str, str]],
    seed: int,
    metrics: Metrics | None = None,
) -> Result:
    """The numbers of rows, and ``metrics``, what their own function says."""
    made = summarise(rows, refused, seed=seed)
    return made if metrics is None else {**made, "metrics": dict(metrics(rows))}


def _described(config: Config) -> Result:
    """What was evaluated, as ``result.json`` says it."""
    mode = {"mode": config["mode"]} if config["mode"] else {}
    rate = {} if config["rate"] is None else {"rate": config["rate"]}
    return {
        **{key: config[key] for key in ("agent", "data", "protocol")},
        **mode,
        **rate,
        "judge": config["judge_name"],
        "tokens": config["tokens"],
    }


def _spent(spent: Sequence[Mapping[str, Any]]) -> Result:
    """Sums over blocks, also those of processes that were at work at the same time."""
    made: Result = {key: sum(part[key] for part in spent) for key in ("seconds", "agent_seconds")}
    if judging := [Usage(**part["judging"]) for part in spent if "judging" in part]:
        made["judging"] = total(judging).numbers()
    return made


def read_result(folder: Path) -> Result:
    """A folder's ``result.json``.

    Raises:
        DataError: If it cannot be read.
    """
    path = folder / RESULT
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no result")
    return found


def mode_result(modes: Mapping[str, Result], out: Path, folders: Mapping[str, str]) -> Result:
    """The result over the modes of one agent on one part.

    Args:
        modes: Each mode's own result, in the order of the table.
        out: Where their folders are.
        folders: The folder of each.
    """
    rows = {
        name: [slim(row) for row in read_rows(out / folders[name] / EPISODES)]
        for name, result in modes.items()
        if result["n"]
    }
    first = next(iter(modes.values()))
    seed = first["provenance"]["seed"]
    told, tests = side_by_side(rows, seed=seed)
    return {
        "agent": first["agent"],
        "data": first["data"],
        "judge": first["judge"],
        "tokens": first["tokens"],
        "reference": FULL if FULL in rows else None,
        "modes": {name: {**result, **told.get(name, {})} for name, result in modes.items()},
        "tests": tests,
        "provenance": provenance(seed, first["provenance"]["data"]),
    }
