"""Folders of ``vt eval``, ``vt train`` and ``vt demo`` as one kind of record.

A folder with ``metrics.jsonl`` is a training run; another one with ``episodes.jsonl`` is a policy,
whose numbers are in its own ``result.json``, or in that of a folder above it (``vt demo``). Folders
within the named one are read too, so that one command's several agents are several policies.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.recipe import SNAPSHOT
from experiments.report.records import Cost, Notes, Policy, Results, Row, Run, Suite
from experiments.report.rows import is_number, measured, read_lines, read_rows
from experiments.report.suites import pooled, read_suites
from experiments.report.text import shown
from experiments.summary import summarise
from trainers.tracking import EPISODES, LOG
from vt_env import ConfigError

RESULT = "result.json"
COMPARISON = "comparison.json"
SUITE = "suite.json"
_DEEPEST = 4
_RATES = ("accuracy", "request_rate", "visual_tokens", "token_ratio", "format_rate")
_COUNTS = ("n", "unscored", "refused")


def read_results(folders: Sequence[Path]) -> Results:
    """Everything that is in some folders.

    Raises:
        ConfigError: If a folder is not there, or holds nothing that can be shown.
    """
    notes = Notes()
    policies: list[Policy] = []
    runs: list[Run] = []
    suites: list[Suite] = []
    for folder in folders:
        found = list(_read(folder, notes))
        if not any(
            isinstance(item, Run) or (isinstance(item, Policy) and item.rows) for item in found
        ):
            raise ConfigError(
                f"there is nothing to report in {folder}: expected the folder of a finished "
                f"`vt eval`, `vt train` or `vt demo`, with at least one line in {EPISODES} or {LOG}"
            )
        policies += [item for item in found if isinstance(item, Policy)]
        runs += [item for item in found if isinstance(item, Run)]
        suites += [item for item in found if isinstance(item, Suite)]
    several = len(folders) > 1
    policies = [
        replace(policy, name=name)
        for policy, name in zip(policies, _unique(policies, several), strict=True)
    ]
    named = [Run(name, run.metrics) for run, name in zip(runs, _unique(runs, several), strict=True)]
    return Results(policies, named, suites, notes)


def _unique(items: Sequence[Policy | Run], several: bool) -> list[str]:
    """Names that differ: with the folder in front where folders hold the same ones."""
    names: list[str] = []
    all_names = [item.name for item in items]
    for item in items:
        name = item.name
        if several and all_names.count(name) > 1 and isinstance(item, Policy):
            name = f"{item.folder}: {name}"
        count = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(name if not count else f"{name} ({count + 1})")
    return names


@dataclass(frozen=True, slots=True)
class _Told:
    """What a folder's result says of the policies in it and below.

    Attributes:
        numbers: Results by policy, in the order of tables.
        result: The whole.
    """

    numbers: Mapping[str, Any]
    result: Mapping[str, Any]


def _read(folder: Path, notes: Notes) -> Iterator[Policy | Run | Suite]:
    """Policies in the order of their tables, then training runs and what they showed.

    The benchmarks of a suite are one policy for each agent and mode.
    """
    if not folder.is_dir():
        raise ConfigError(f"expected a folder with results, and there is none at {folder}")
    told = _told(folder, notes)
    items = list(_walk(folder, folder, told, notes, _DEEPEST))
    order = {name: place for place, name in enumerate(told.numbers)}
    policies = [item for item in items if isinstance(item, Policy)]
    policies.sort(key=lambda p: (p.numbers is None, order.get(p.name, len(order))))
    suites = read_suites(_object(folder / SUITE, notes), notes)
    yield from pooled(policies, suites) if suites else policies
    yield from (item for item in items if isinstance(item, Run))
    yield from suites


def _told(folder: Path, notes: Notes) -> _Told:
    result = _object(folder / RESULT, notes)
    comparison = _object(folder / COMPARISON, notes)
    parts: dict[str, Any] = {}
    for table in (comparison.get("agents"), result.get("policies")):
        if isinstance(table, Mapping):
            parts |= table
    if isinstance(result.get("sampled"), Mapping):
        parts["sampled"] = result["sampled"]
    return _Told(parts, result)


def _walk(
    root: Path, folder: Path, told: _Told, notes: Notes, depth: int
) -> Iterator[Policy | Run]:
    if (folder / LOG).is_file():
        yield from _run(root, folder, notes)
        return
    if (folder / EPISODES).is_file():
        yield _policy(root, folder, told, notes)
    if depth:
        for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
            yield from _walk(root, inner, told, notes, depth - 1)


def _policy(root: Path, folder: Path, told: _Told, notes: Notes) -> Policy:
    result = _object(folder / RESULT, notes)
    rows = read_rows(folder / EPISODES, notes)
    name = next((n for n, numbers in told.numbers.items() if numbers == result), "")
    if not name:
        name = folder.name if folder.name in told.numbers else _name(result, folder)
    numbers = _numbers(name, result or told.numbers.get(folder.name, {}), rows, notes)
    data = _text(result, "data") or _text(told.result, "data")
    origin = result.get("provenance") or told.result.get("provenance") or {}
    return Policy(
        name=shown(name, 80),
        rows=rows,
        numbers=numbers,
        agent=_text(result, "agent"),
        mode=_text(result, "mode") or (folder.name if folder.name in told.numbers else ""),
        protocol=_text(result, "protocol"),
        data=data,
        folder=root.name,
        origin=origin if isinstance(origin, Mapping) else {},
        costs={data: cost} if numbers and (cost := _cost(numbers)) else {},
    )


def _cost(numbers: Mapping[str, Any]) -> Cost | None:
    """What a result says of it; ``None`` if nothing."""
    n, seconds, tokens = (numbers.get(k) for k in ("n", "agent_seconds", "generated_tokens"))
    if not n or not (is_number(seconds) or is_number(tokens)):
        return None
    spread = numbers["interval_95"].get("generated_tokens")
    return Cost(
        n,
        seconds / n if is_number(seconds) else None,
        tokens if is_number(tokens) else None,
        spread if isinstance(spread, list) and len(spread) == 2 else None,
    )


def _name(result: Mapping[str, Any], folder: Path) -> str:
    agent, mode = _text(result, "agent"), _text(result, "mode")
    return " ".join(part for part in (agent, mode) if part) or folder.name


def _text(result: Mapping[str, Any], key: str) -> str:
    value = result.get(key)
    return value if isinstance(value, str) else ""


def _run(root: Path, folder: Path, notes: Notes) -> Iterator[Policy | Run]:
    name = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    yield Run(shown(name, 80), [row for _, row in read_lines(folder / LOG, notes)])
    if (folder / EPISODES).is_file():
        rows = read_rows(folder / EPISODES, notes)
        origin = _object(folder / RESULT, notes).get("provenance")
        yield Policy(
            name=shown(f"{name}, while training", 80),
            rows=rows,
            data=_validation(folder / SNAPSHOT, notes),
            folder=root.name,
            origin=origin if isinstance(origin, Mapping) else {},
        )


def _validation(snapshot: Path, notes: Notes) -> str:
    """The data on which a run showed its episodes."""
    if not snapshot.is_file():
        return ""
    try:
        data = tomllib.loads(snapshot.read_text("utf-8")).get("data", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        notes.add("a recipe that is no TOML was left out", str(snapshot))
        return ""
    return _text(data, "validation") if isinstance(data, Mapping) else ""


def _object(path: Path, notes: Notes) -> dict[str, Any]:
    """An object from a JSON file; empty if there is none."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        notes.add("a file that is no JSON was left out", str(path))
        return {}
    if not isinstance(value, dict):
        notes.add("a file that is no JSON object was left out", str(path))
        return {}
    return value


def _numbers(
    name: str, numbers: Mapping[str, Any], rows: Sequence[Row], notes: Notes
) -> Mapping[str, Any] | None:
    """A result that is whole; one that is not is made anew from the episodes, where they allow."""
    if _is_whole(numbers):
        if numbers["n"] != len(rows):
            notes.add(
                f"{shown(name, 80)}: its result tells of {numbers['n']:,} episodes, and "
                f"{len(rows):,} are there"
            )
        return numbers
    if numbers:
        notes.add(f"{shown(name, 80)}: its result is incomplete or has numbers that are not finite")
    try:
        made = summarise([measured(row) for row in rows])
    except ValueError as error:
        notes.add(f"{shown(name, 80)}: {error}, so its numbers are not in the tables")
        return None
    notes.add(f"{shown(name, 80)}: numbers computed from the episodes")
    return made


def _is_whole(numbers: object) -> bool:
    """Whether a result has everything that tables and plots show."""
    return (
        _has_rates(numbers)
        and isinstance(numbers, Mapping)
        and all(
            isinstance(parts := numbers.get(f"by_{key}"), Mapping)
            and all(_has_rates(part) for part in parts.values())
            for key in ("kind", "source")
        )
    )


def _has_rates(numbers: object) -> bool:
    if not isinstance(numbers, Mapping) or not isinstance(numbers.get("interval_95"), Mapping):
        return False
    spreads = [numbers["interval_95"].get(key) for key in _RATES]
    rates = [numbers.get(key, "missing") for key in _RATES]
    return (
        all(is_number(numbers.get(key)) for key in _COUNTS)
        and all(rate is None or is_number(rate) for rate in rates)
        and all(
            spread is None
            or (rate is not None and isinstance(spread, list) and len(spread) == 2
                and all(map(is_number, spread)))
            for rate, spread in zip(rates, spreads, strict=True)
        )
    )  # fmt: skip
