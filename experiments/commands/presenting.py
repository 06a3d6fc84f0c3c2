"""Results of ``vt eval`` on the terminal and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.benchmarks.suite import left_out, suite_rows
from experiments.commands.options import console
from experiments.files import write_json
from experiments.plots import accuracy_against_tokens
from experiments.tables import mode_table, result_table, source_table, suite_table, test_table

SUITE, COMPARISON = "suite.json", "comparison.json"
"""Results of several benchmarks, and of several agents."""


def present(results: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """Draw and show: a line an agent and mode; of one agent without modes, a line a kind."""
    lines: dict[str, Mapping[str, Any]] = {}
    for spec, result in results.items():
        if "modes" in result:
            before = f"{spec} " if len(results) > 1 else ""
            lines |= {f"{before}{mode}": one for mode, one in result["modes"].items()}
        else:
            lines[spec] = result
    if len(results) > 1:
        write_json(out / COMPARISON, {"agents": results})
    screen = console()
    about = next(iter(lines.values())).get("data", "")
    if len(lines) > 1:
        title = f"Accuracy against visual tokens: {about}"
        _draw(lines, title, out)
        _show_several(results, lines)
    else:
        ((spec, result),) = lines.items()
        title = f"Accuracy against visual tokens: {spec} on {about}"
        _draw({"all": result, **result["by_kind"]}, title, out)
        kinds = {"all": result, **{k or "(no kind)": v for k, v in result["by_kind"].items()}}
        screen.print(result_table("kind", f"{spec}: accuracy against visual tokens", kinds))
    screen.print(f"tokens: visual tokens an episode; share: of the original shown once\nin {out}")
    for name, result in lines.items():
        if judging := result.get("judging"):
            counts = ", ".join(f"{number} {key}" for key, number in judging.items() if number)
            screen.print(f"judging {name}: {counts}", soft_wrap=True)


def _draw(lines: Mapping[str, Mapping[str, Any]], title: str, out: Path) -> None:
    """The plot, unless nothing is known of what was shown."""
    if any(line["n"] and line["token_ratio"] is None for line in lines.values()):
        console().print("visual tokens are not known of all, so there is no plot")
        for name in ("plot.png", "plot.svg"):
            (out / name).unlink(missing_ok=True)
    else:
        accuracy_against_tokens(lines, title, out / "plot")


def _show_several(
    results: Mapping[str, Mapping[str, Any]], lines: Mapping[str, Mapping[str, Any]]
) -> None:
    screen = console()
    by_mode = {spec: result for spec, result in results.items() if "modes" in result}
    for spec, result in by_mode.items():
        screen.print(mode_table(f"{spec}: modes, with 95 % bootstrap intervals", result["modes"]))
        screen.print(test_table(result["tests"]))
    if len(by_mode) < len(results):
        screen.print(result_table("agent", "accuracy against visual tokens", lines))
    screen.print(source_table(lines))


def present_merged(parts: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """As it would have been shown if it had been played at once."""
    leaves = [one for part in parts.values() for one in part.get("modes", {"": part}).values()]
    if "" in parts:
        present({"merged": parts[""]}, out)
    elif all("metrics" in one for one in leaves):
        present_suite({leaves[0]["agent"]: parts}, out)
    else:
        present(parts, out)


def present_suite(results: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """A table a policy, as the paper's Table 2, and the same in ``suite.json``."""
    tables = {spec: suite_rows(parts) for spec, parts in results.items()}
    left = left_out({name: one for parts in results.values() for name, one in parts.items()})
    write_json(out / SUITE, {"agents": tables, "left_out": left})
    for spec, lines in tables.items():
        console().print(suite_table(f"{spec}: the suite", lines))
    for name, reasons in left.items():
        told = "; ".join(f"{number} {reason}" for reason, number in reasons.items())
        console().print(f"left out of {name}: {told}", soft_wrap=True, markup=False)
    console().print(f"tokens: visual tokens over those of the original shown once\nin {out}")
