"""``vt seeds``: results of ``vt demo`` from several seeds, beside each other."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.commands.options import console
from experiments.targets import AT_LEAST, AT_MOST
from vt_env import ConfigError

DESCRIPTION = """\
Read results of `vt demo --seed S --out DIR` from several folders; print a table in Markdown with
medians, the worst, and what each run missed of its targets.
"""
HEADS = ("accuracy", "sampled", "low", "full", "always", "random", "tokens")


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "seeds", help="compare results of vt demo from several seeds", description=DESCRIPTION
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="as vt demo wrote it")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the table."""
    results = [_read(folder) for folder in arguments.folders]
    results.sort(key=lambda result: result["provenance"]["seed"])
    console().print("\n".join(table(results)), soft_wrap=True, markup=False)


def table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of the table, and below it what was missed.

    Args:
        results: As in ``result.json`` of ``vt demo``.
    """
    kinds = [*AT_MOST, *AT_LEAST]
    heads = ["seed", *HEADS, *(f"asks: {kind.replace('_', ' ')}" for kind in kinds)]
    rows = {str(result["provenance"]["seed"]): _numbers(result) for result in results}
    columns = list(zip(*rows.values(), strict=True))
    rows["median"] = [statistics.median(column) for column in columns]
    high_is_bad = {len(HEADS) - 1, *range(len(HEADS), len(HEADS) + len(AT_MOST))}
    rows["worst"] = [
        max(column) if place in high_is_bad else min(column) for place, column in enumerate(columns)
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, numbers in rows.items():
        cells = [format(n, ".3f" if i < len(HEADS) else ".2f") for i, n in enumerate(numbers)]
        lines.append(f"| {' | '.join([name, *cells])} |")
    reached = sum(not result["missed"] for result in results)
    lines += ["", f"{reached} of {len(results)} reached all targets."]
    lines += [
        f"Seed {result['provenance']['seed']} missed: {'; '.join(result['missed'])}."
        for result in results
        if result["missed"]
    ]
    return lines


def _numbers(result: Mapping[str, Any]) -> list[float]:
    policies = result["policies"]
    trained = policies["trained"]
    numbers = [trained["accuracy"], result["sampled"]["accuracy"]]
    names = ("low", "full", "always_request", "random")
    numbers += [policies[name]["accuracy"] for name in names]
    numbers.append(trained["token_ratio"])
    rates = trained["by_kind"]
    return numbers + [rates[kind]["request_rate"] for kind in (*AT_MOST, *AT_LEAST)]


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not {"policies", "sampled", "missed", "provenance"} <= found.keys():
        raise ConfigError(f"{path} is no result of vt demo")
    return found
