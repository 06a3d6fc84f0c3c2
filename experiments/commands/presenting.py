"""Results of ``vt eval`` and ``vt judge`` on the terminal and as a plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import result_tables as tables
from experiments.benchmarks.suite import left_out, suite_rows, zooming_gaps
from experiments.commands.options import console
from experiments.diagnosis import Diagnosis, sentences
from experiments.diagnosis import table as diagnosis_table
from experiments.evaluation.result import EPISODES, suite_diagnosed
from experiments.evaluation.run import part_folder
from experiments.files import write_json
from experiments.plots import accuracy_against_tokens
from experiments.tables import Table

SUITE, COMPARISON = "suite.json", "comparison.json"
"""Results of several benchmarks, and of several agents."""
DRAWN = ("plot.png", "plot.svg", COMPARISON, SUITE)
"""What is written beside results."""

Result = Mapping[str, Any]


def present(results: Mapping[str, Result], out: Path) -> None:
    """Draw and show: a line an agent and mode; of one agent without modes, a line a kind."""
    lines: dict[str, Result] = {}
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
        _draw(lines, f"Accuracy against visual tokens: {about}", out)
        shown = _show_several(results, lines)
    else:
        ((spec, result),) = lines.items()
        kinds = {"all": result, **{k or "(no kind)": v for k, v in result["by_kind"].items()}}
        _draw(kinds, f"Accuracy against visual tokens: {spec} on {about}", out)
        title = f"{spec}: accuracy against visual tokens"
        shown = [tables.results("kind", title, kinds)]
        screen.show(shown[0])
    _show_repeats(lines)
    screen.say(f"{tables.legend(*shown)}\nin {out}")
    for name, result in lines.items():
        if number := result.get("partly_shown"):
            screen.say(f"{name}: {number} pictures are shown in part: partly_shown in {EPISODES}")
        if judging := result.get("judging"):
            counts = ", ".join(f"{number} {key}" for key, number in judging.items() if number)
            screen.say(f"judging {name}: {counts}")


def _show_repeats(lines: Mapping[str, Result]) -> None:
    """Avg@k and pass@k, where questions were played several times."""
    title = "questions played k times, with 95 % bootstrap intervals of questions"
    if (shown := tables.repeats(title, lines)) is not None:
        console().show(shown)


def _draw(lines: Mapping[str, Result], title: str, out: Path) -> None:
    """The plot, unless nothing is known of what was shown."""
    if any(line["n"] and line["token_ratio"] is None for line in lines.values()):
        console().say("visual tokens are not known of all, so there is no plot")
        for name in ("plot.png", "plot.svg"):
            (out / name).unlink(missing_ok=True)
    else:
        accuracy_against_tokens(lines, title, out / "plot")


def _show_several(results: Mapping[str, Result], lines: Mapping[str, Result]) -> list[Table]:
    """Show a table of modes for each agent, and one of those without; these tables."""
    screen, shown = console(), list[Table]()
    by_mode = {spec: result for spec, result in results.items() if "modes" in result}
    for spec, result in by_mode.items():
        title = f"{spec}: modes, with 95 % bootstrap intervals"
        shown.append(tables.modes(title, result["modes"]))
        screen.show(shown[-1])
        screen.show(tables.tests(result["tests"]))
        if told := result.get("diagnosis"):
            _show_diagnosis("", told, "kind")
    if len(by_mode) < len(results):
        shown.append(tables.results("agent", "accuracy against visual tokens", lines))
        screen.show(shown[-1])
    screen.show(tables.by_group("source", lines))
    return shown


def _show_diagnosis(title: str, told: Mapping[str, Any], grouping: str) -> None:
    """What calls gain and harm, as a table and in sentences."""
    screen = console()
    found = {name: Diagnosis.of(one) for name, one in told.items()}
    made = diagnosis_table(found)
    screen.show(replace(made, title=f"{title}: {made.title}" if title else made.title))
    for line in sentences(found, grouping):
        screen.say(line)


def present_merged(parts: Mapping[str, Result], out: Path) -> None:
    """As it would have been shown if it had been played at once."""
    leaves = [one for part in parts.values() for one in part.get("modes", {"": part}).values()]
    if "" in parts:
        present({"merged": parts[""]}, out)
    elif all("metrics" in one for one in leaves):
        present_suite({leaves[0]["agent"]: parts}, out, {leaves[0]["agent"]: ""})
    else:
        present(parts, out)


def present_suite(results: Mapping[str, Result], out: Path, folders: Mapping[str, str]) -> None:
    """A table a policy, as the paper's Table 2, and the same in ``suite.json``.

    Args:
        results: By policy and benchmark.
        out: The folder of results.
        folders: By policy its own in it, which holds one a benchmark.
    """
    lines = {spec: suite_rows(parts) for spec, parts in results.items()}
    left = left_out({name: one for parts in results.values() for name, one in parts.items()})
    gaps = {spec: found for spec, parts in results.items() if (found := zooming_gaps(parts))}
    more: dict[str, Any] = {"zooming_gaps": gaps} if gaps else {}
    diagnoses = _diagnoses(results, {spec: out / folder for spec, folder in folders.items()})
    if diagnoses:
        more["diagnosis"] = diagnoses
    write_json(out / SUITE, {"agents": lines, "left_out": left, **more})
    screen = console()
    shown = [tables.suite(f"{spec}: the suite", some) for spec, some in lines.items()]
    for (spec, some), table in zip(lines.items(), tuple(shown), strict=True):
        screen.show(table)
        if found := tables.letters(f"{spec}: letters", some):
            screen.show(found)
            shown.append(found)
        _show_repeats({f"{one['benchmark']} {one['mode']}".strip(): one for one in some})
        for name, by_mode in gaps.get(spec, {}).items():
            told = ", ".join(f"{mode} {gap:+.3f}".strip() for mode, gap in by_mode.items())
            screen.say(f"{name}: the cropped view adds {told} to the accuracy")
        if told := diagnoses.get(spec):
            _show_diagnosis(spec, told, "benchmark")
    for name, reasons in left.items():
        told = "; ".join(f"{number} {reason}" for reason, number in reasons.items())
        screen.say(f"left out of {name}: {told}")
    screen.say(f"{tables.legend(*shown)}\nin {out}")


def _diagnoses(results: Mapping[str, Result], folders: Mapping[str, Path]) -> dict[str, Any]:
    """By policy, what calls gain and harm over all benchmarks; none of one benchmark alone."""
    made: dict[str, Any] = {}
    for spec, parts in results.items():
        seed = next(iter(parts.values()))["provenance"]["seed"]
        places = [folders[spec] / part_folder(at, name) for at, name in enumerate(parts)]
        found = suite_diagnosed(places, seed)
        if len(found.get("diagnosis", ())) > 1:
            made[spec] = found["diagnosis"]
    return made
