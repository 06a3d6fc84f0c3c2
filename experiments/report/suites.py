"""Suites of benchmarks: their tables, and one policy of what an agent did on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from experiments.report.records import Cost, Notes, Policy, Row, Suite
from experiments.report.rows import is_number, measured
from experiments.report.text import shown
from experiments.summary import measure

_NUMBERS = ("score", "relative", "token_ratio", "request_rate", "coverage")


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
        and all(is_number(line.get(key)) for key in ("n", "unscored"))
        and all(line.get(key) is None or is_number(line[key]) for key in _NUMBERS)
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
    last = len(order)
    keys = sorted(groups, key=lambda key: order.index(key) if key in order else last)
    return [_pool(groups[key]) for key in keys]


def _pool(parts: Sequence[Policy]) -> Policy:
    first, rows = parts[0], [row for part in parts for row in part.rows]
    by = {_title(part): part for part in parts if part.rows}
    told = {title: part.numbers for title, part in by.items() if part.numbers is not None}
    name = " ".join(part for part in (first.agent, first.mode) if part)
    costs: dict[str, Cost] = {t: cost for t, part in by.items() for cost in part.costs.values()}
    return replace(
        first,
        name=name,
        rows=rows,
        numbers=_numbers(rows, told) if rows and len(told) == len(by) else None,
        data=", ".join(by),
        places={row.source: part.data for part in by.values() for row in part.rows},
        origin={title: dict(part.origin) for title, part in by.items()},
        costs=costs,
    )


def _numbers(rows: Sequence[Row], told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Over all episodes, each of which counts once; ``None`` if one does not say enough."""
    try:
        whole = measure([measured(row) for row in rows], sum(p["refused"] for p in told.values()))
    except ValueError:
        return None
    kinds = {
        f"{title}: {kind}" if kind else title: one
        for title, part in told.items()
        for kind, one in part["by_kind"].items()
    }
    return {**whole, "by_source": dict(told), "by_kind": kinds}


def _title(part: Policy) -> str:
    """A benchmark's name: what its rows say, else its data."""
    sources = {row.source for row in part.rows}
    return sources.pop() if len(sources) == 1 else part.data
