"""Folders of ``vt eval``, ``vt train`` and ``vt demo`` as one kind of record.

A folder with ``metrics.jsonl`` is a training run; another one with ``episodes.jsonl`` is a policy,
whose numbers are in its own ``result.json``. Folders within the named one are read too, so that one
command's several agents and modes are several policies.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from experiments.episodes import Notes, Row, shown_lines, shown_rows
from experiments.evaluation.result import CONFIG, JOURNAL
from experiments.files import check_folders
from experiments.report.diagnosed import Diagnosed, data_name, read_diagnosed, read_suite
from experiments.report.text import shown
from experiments.summary import measure, summarise
from trainers.results import PRIVATE
from trainers.runs import SNAPSHOT
from trainers.tracking import EPISODES, LOG
from vt_env import ConfigError

RESULT, COMPARISON, SUITE = "result.json", "comparison.json", "suite.json"
DEEPEST = 4
_RATES = ("accuracy", "request_rate", "visual_tokens", "token_ratio", "format_rate")
_COUNTS = ("n", "unscored", "refused")


def read_results(folders: Sequence[Path]) -> Results:
    """Everything that is in some folders."""
    check_folders(folders)
    notes, several = Notes(), len(folders) > 1
    policies, runs, suites = list[Policy](), list[Run](), list[Suite]()
    diagnosed: list[Diagnosed] = []
    missed: list[str] | None = None
    for folder in folders:
        found = _Folder(folder, notes)
        if not found.runs and not any(policy.rows for policy in found.policies):
            raise ConfigError(
                f"there is nothing to report in {folder}: expected the folder of a finished "
                f"`vt eval`, `vt train` or `vt demo`, with at least one line in {EPISODES} or {LOG}"
            )
        policies += found.policies
        runs += found.runs
        suites += found.suites
        diagnosed += found.diagnosed
        if isinstance(found.result.get("missed"), list):
            missed = [*(missed or []), *map(str, found.result["missed"])]
    policies, runs = _apart(policies, several), _apart(runs, several)
    return Results(policies, runs, suites, notes, missed, _apart(diagnosed, several))


def _apart(items: Sequence[T], several: bool) -> list[T]:
    """Items whose names differ: with folder and data where there are several of one name."""
    full = [item.name for item in items]
    if several:
        full = _longer(items, full, lambda item: item.folder, "{1}: {0}")
    full = _longer(items, full, lambda item: shown(data_name(item.data), 80), "{0}, {1}")
    names: list[str] = []
    for name in full:
        count = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(name if not count else f"{name} ({count + 1})")
    return [replace(item, name=name) for item, name in zip(items, names, strict=True)]


def _longer(
    items: Sequence[T], names: Sequence[str], tell: Callable[[Policy], str], form: str
) -> list[str]:
    """Names, with what tells policies of one name apart."""
    told: dict[str, set[str]] = {}
    for item, name in zip(items, names, strict=True):
        if isinstance(item, Policy):
            told.setdefault(name, set()).add(tell(item))
    return [
        form.format(name, more)
        if isinstance(item, Policy) and len(told[name]) > 1 and (more := tell(item))
        else name
        for item, name in zip(items, names, strict=True)
    ]


class _Folder:
    """What is in a folder and below it.

    Attributes:
        policies: In the order of their tables, then what training runs showed. The benchmarks of a
            suite are one policy for each agent and mode.
        runs: Training runs.
        suites: Tables of benchmarks.
        diagnosed: What calls gain and harm.
        result: Its own ``result.json``.
    """

    def __init__(self, root: Path, notes: Notes) -> None:
        self.root, self.notes = root, notes
        self.policies: list[Policy] = []
        self.runs: list[Run] = []
        self.diagnosed: list[Diagnosed] = []
        self.result = self._object(root / RESULT)
        agents = _mapping(self._object(root / COMPARISON), "agents")
        modes = {**_mapping(self.result, "modes"), **_mapping(self.result, "policies")}
        self.named = {**agents, **modes}
        self._walk(root, DEEPEST)
        order = {name: place for place, name in enumerate([*agents, *modes])}
        together = str(root)
        self.policies = [
            replace(policy, together=together if {policy.mode, policy.name} & modes.keys() else "")
            for policy in self.policies
        ]
        self.policies.sort(key=lambda p: (p.numbers is None, order.get(p.name, len(order))))
        self.suites = read_suites(self._object(root / SUITE), notes)
        if self.suites:
            self.policies = pooled(self.policies, self.suites)

    def _walk(self, folder: Path, depth: int) -> None:
        suite = self._object(folder / SUITE)
        self.diagnosed += read_suite(suite, self.notes, str(folder / SUITE))
        if (folder / LOG).is_file():
            self._run(folder)
            return
        if (folder / EPISODES).is_file():
            self._policy(folder, RESULT, shown_rows(folder / EPISODES, self.notes))
        elif (folder / JOURNAL).is_file():
            self.notes.add("a policy that is still being played", str(folder))
            rows = shown_rows(folder / JOURNAL, self.notes, within="row")
            self._policy(folder, CONFIG, rows)
        else:
            result = self.result if folder == self.root else self._object(folder / RESULT)
            self.diagnosed += read_diagnosed(result, self.notes, str(folder / RESULT))
        if depth:
            for inner in sorted(p for p in folder.iterdir() if p.is_dir() and p.name != PRIVATE):
                self._walk(inner, depth - 1)

    def _policy(self, folder: Path, told: str, rows: Sequence[Row]) -> None:
        """A policy, of which a file tells who it is and, once it is finished, its numbers."""
        result = self._object(folder / told)
        agent, mode = _text(result, "agent"), _text(result, "mode")
        own = " ".join(part for part in (agent, mode) if part) or folder.name
        name = next((n for n, numbers in self.named.items() if _is_of(numbers, result)), "")
        name = shown(name or (mode if mode in self.named else own), 80)
        made = Policy(
            name,
            rows,
            _numbers(name, result if told == RESULT else {}, rows, self.notes),
            agent=agent,
            mode=mode,
            protocol=_text(result, "protocol"),
            data=_text(result, "data"),
            folder=self.root.name,
            origin=_mapping(result, "provenance"),
        )
        self.policies.append(made)

    def _run(self, folder: Path) -> None:
        root = self.root
        name = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
        metrics = [row for _, row in shown_lines(folder / LOG, self.notes)]
        self.runs.append(Run(shown(name, 80), metrics))
        if (folder / EPISODES).is_file():
            made = Policy(
                shown(f"{name}, while training", 80),
                shown_rows(folder / EPISODES, self.notes),
                data=_text(_mapping(self._object(folder / SNAPSHOT), "data"), "validation"),
                folder=root.name,
                origin=_mapping(self._object(folder / RESULT), "provenance"),
            )
            self.policies.append(made)

    def _object(self, path: Path) -> dict[str, Any]:
        """What a JSON file, or a recipe, holds; empty if there is none."""
        if not path.is_file():
            return {}
        kind, load = ("TOML", tomllib.loads) if path.suffix == ".toml" else ("JSON", json.loads)
        try:
            value = load(path.read_text("utf-8"))
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        self.notes.add(f"a file that is no {kind} object was left out", str(path))
        return {}


def _is_of(numbers: Any, result: Mapping[str, Any]) -> bool:
    """Whether a table's entry is this result, to which a table adds what others are needed for."""
    kept = isinstance(numbers, Mapping) and {key: numbers.get(key) for key in result}
    return bool(result) and kept == result


def _text(result: Mapping[str, Any], key: str) -> str:
    value = result.get(key)
    return value if isinstance(value, str) else ""


def _mapping(result: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = result.get(key)
    return value if isinstance(value, Mapping) else {}


def _numbers(
    name: str, numbers: Mapping[str, Any], rows: Sequence[Row], notes: Notes
) -> Mapping[str, Any] | None:
    """A result that is whole; one that is not is made anew from the episodes."""
    if _is_whole(numbers):
        if numbers["n"] != len(rows):
            notes.add(
                f"{name}: its result tells of {numbers['n']:,} episodes, and {len(rows):,} are "
                "there"
            )
        return numbers
    if numbers:
        notes.add(f"{name}: its result is incomplete or has numbers that are not finite")
    if not rows:
        return None
    notes.add(f"{name}: numbers computed from the episodes")
    return summarise(rows)


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number that can be calculated with."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 if isinstance(value, int) else math.isfinite(value)


def _is_whole(numbers: Any, groups: Sequence[str] = ("by_kind", "by_source")) -> bool:
    """Whether a result has everything that tables and plots show, and its groups have it too."""
    if not isinstance(numbers, Mapping) or not isinstance(numbers.get("interval_95"), Mapping):
        return False
    rates = [(numbers.get(key, "missing"), numbers["interval_95"].get(key)) for key in _RATES]
    parts = [numbers.get(group) for group in groups]
    return (
        all(is_number(numbers.get(key)) for key in _COUNTS)
        and all(_is_rate(*pair) for pair in rates)
        and all(isinstance(p, Mapping) and all(_is_whole(x, ()) for x in p.values()) for p in parts)
    )


def _is_rate(rate: Any, spread: Any) -> bool:
    """Whether a value is unknown or a number, and its interval is none or one of such a number."""
    if spread is None:
        return rate is None or is_number(rate)
    return isinstance(spread, list) and len(spread) == 2 and all(map(is_number, [rate, *spread]))


_NUMBERS = ("score", "relative", "token_ratio", "request_rate", "coverage")
_OF_LETTERS = ("option_seed", "letter_bias", "chance")


def read_suites(result: Mapping[str, Any], notes: Notes) -> list[Suite]:
    """What a ``suite.json`` holds; lines that are none are left out and noted."""
    agents = result.get("agents")
    suites: list[Suite] = []
    for name, lines in agents.items() if isinstance(agents, Mapping) else ():
        kept = [line for line in lines if _is_line(line)] if isinstance(lines, list) else []
        if not isinstance(lines, list) or len(kept) < len(lines):
            notes.add("lines of a suite that are not as they should be were left out", str(name))
        if kept:
            suites.append(Suite(shown(str(name), 80), kept))
    return suites


def _is_line(line: object) -> bool:
    return (
        isinstance(line, Mapping)
        and all(isinstance(line.get(key), str) for key in ("benchmark", "mode"))
        and all(is_number(line.get(key)) for key in ("n", "unscored", "refused"))
        and all(line.get(key) is None or is_number(line[key]) for key in _NUMBERS)
        and ("letters" not in line or _is_letters(line["letters"]))
    )


def _is_letters(told: object) -> bool:
    return (
        isinstance(told, Mapping)
        and is_number(told.get("none"))
        and all(told.get(key) is None or is_number(told[key]) for key in _OF_LETTERS)
        and _is_rate(told.get("letter_bias"), told.get("interval_95"))
        and all(
            isinstance(shares := told.get(kind), Mapping) and all(map(is_number, shares.values()))
            for kind in ("chosen", "right")
        )
    )


def pooled(policies: Sequence[Policy], suites: Sequence[Suite]) -> list[Policy]:
    """Policies of the same agent and mode as one, whose sources are the benchmarks.

    Args:
        policies: One for each benchmark, agent and mode.
        suites: The order of agents and modes; others come last.
    """
    groups: dict[tuple[str, str], list[Policy]] = {}
    for policy in policies:
        groups.setdefault((policy.agent, policy.mode), []).append(policy)
    order = [(suite.name, line["mode"]) for suite in suites for line in suite.lines]
    keys = sorted(groups, key=lambda key: order.index(key) if key in order else len(order))
    return [_pool(groups[key]) for key in keys]


def _pool(parts: Sequence[Policy]) -> Policy:
    first, rows = parts[0], [row for part in parts for row in part.rows]
    by = {_title(part): part for part in parts if part.rows}
    told = {title: part.numbers for title, part in by.items() if part.numbers is not None}
    numbers = None
    if rows and len(told) == len(by):
        kinds = {
            f"{title}: {kind}" if kind else title: one
            for title, part in told.items()
            for kind, one in part["by_kind"].items()
        }
        whole = measure(rows, sum(part["refused"] for part in told.values()))
        numbers = {**whole, "by_source": told, "by_kind": kinds}
    return replace(
        first,
        name=" ".join(part for part in (first.agent, first.mode) if part),
        rows=rows,
        numbers=numbers,
        data=", ".join(by),
        places={row["source"]: part.data for part in by.values() for row in part.rows},
        origin={title: dict(part.origin) for title, part in by.items()},
    )


def _title(part: Policy) -> str:
    """A benchmark's name: what its rows say, else its data."""
    sources = {row["source"] for row in part.rows}
    return sources.pop() if len(sources) == 1 else part.data


Key = tuple[str, str, str]
"""What makes two episodes be about the same thing: source, id and question of the sample."""
Numbers = Mapping[str, Any]
"""A result as in ``result.json``."""


def key_of(row: Row) -> Key:
    """See :data:`Key`."""
    return row["source"], row["id"], row["question"]


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy on one set of data.

    Attributes:
        name: What tables call it; unique in a report.
        rows: Its episodes.
        numbers: Its result; ``None`` where nothing tells it.
        agent: Who played.
        mode: How its decision to ask was made, where the result says so.
        protocol: The rules, where the result says so.
        data: Spec of the source that was played, or, of several, their names.
        places: By a row's source, the spec that was played, where they were several.
        folder: The folder that was named.
        together: What modes of one evaluation have in common; empty for others.
        origin: Where the result comes from.
    """

    name: str
    rows: Sequence[Row]
    numbers: Numbers | None = None
    agent: str = ""
    mode: str = ""
    protocol: str = ""
    data: str = ""
    folder: str = ""
    together: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def data_of(self, row: Row) -> str:
        """The spec of the source that a row is from."""
        return self.places.get(row["source"], self.data)


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


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was read, in the order of tables.

    Attributes:
        policies: The first one is looked at first.
        runs: Training runs.
        suites: Tables of benchmarks.
        notes: What was left out.
        missed: Targets that were missed; ``None`` where there were none.
        diagnosed: What calls gain and harm, where the modes that tell it were played.
    """

    policies: Sequence[Policy]
    runs: Sequence[Run]
    suites: Sequence[Suite]
    notes: Notes
    missed: Sequence[str] | None = None
    diagnosed: Sequence[Diagnosed] = ()


T = TypeVar("T", Policy, Run, Diagnosed)
