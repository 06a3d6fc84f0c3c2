"""``vt eval``: play agents on a data set and measure accuracy against visual tokens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agents import AGENTS, Agent, closing, make_agent
from experiments.commands.options import add_task_options, console, positive, share, task_of
from experiments.evaluation import Refused, episode_row, evaluate
from experiments.files import json_line, results_folder, whole_file, write_json
from experiments.plots import accuracy_against_tokens
from experiments.provenance import provenance
from experiments.summary import summarise
from experiments.tables import result_table, source_table
from vt_env import Task, open_source
from vt_env.judges.models import usage_of

DESCRIPTION = f"""\
Play one agent, or several one after the other, on a data set, one episode a sample.

agents: {", ".join(AGENTS.names())}; with arguments as in random:p=0.3,answerer=ocr
data:   generated[:n=2000,seed=0,split=test], jsonl:FILE, folder:FOLDER, hf:PATH, or just a path
"""
EPILOG = """\
In DIR: episodes.jsonl (a line an episode), result.json (accuracy, request_rate, visual_tokens,
token_ratio, … over all, by kind and by source, with 95 % intervals), plot.png and plot.svg. With
several agents each has a folder of its own in DIR, and DIR/comparison.json and the plot hold all.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "eval",
        help="play agents on a data set: accuracy against visual tokens",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--agent",
        action="append",
        required=True,
        metavar="NAME[:ARGS]",
        help="who plays; give it several times to compare",
    )
    parser.add_argument("--data", required=True, metavar="SOURCE", help="what is played")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N samples")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument(
        "--batch", type=positive, default=16, metavar="N", help="episodes at once (default: 16)"
    )
    parser.add_argument(
        "--max-refused",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="share of pictures that may turn out broken before it stops (default: 0.1)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that are in DIR")
    add_task_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Play, write, show."""
    out = results_folder(arguments.out, arguments.overwrite)
    source = open_source(arguments.data)
    task = task_of(arguments, source)
    several = len(arguments.agent) > 1
    folders = _folders(out, arguments.agent, arguments.overwrite) if several else [out]
    players = [make_agent(spec) for spec in arguments.agent]
    try:
        _evaluate(task, players, folders, out, arguments)
    finally:
        task.close()


def _evaluate(
    task: Task,
    players: Sequence[Agent],
    folders: Sequence[Path],
    out: Path,
    arguments: argparse.Namespace,
) -> None:
    source, several = task.source, len(players) > 1
    results: dict[str, dict[str, Any]] = {}
    for spec, agent, folder in zip(arguments.agent, players, folders, strict=True):
        with closing(agent):
            rows, refused = _play(task, agent, spec, folder, arguments)
        refused += [{"id": str(r.row), "reason": r.reason} for r in source.refused]
        results[spec] = {
            **summarise(rows, refused, seed=arguments.seed),
            "agent": spec,
            "data": arguments.data,
            "protocol": arguments.protocol,
            "judge": task.judge.name,
            **({"judging": usage.numbers()} if (usage := usage_of(task.judge)) else {}),
            "tokens": task.protocol.tokens.name,
            "refusals": refused,
            "provenance": provenance(arguments.seed, source.fingerprint()),
        }
        write_json(folder / "result.json", results[spec])
    _draw(results, arguments.data, out)
    if several:
        write_json(out / "comparison.json", {"agents": results})
    _show(results, out)
    if (usage := usage_of(task.judge)) is not None:
        console().print(f"judging: {usage}")


def _play(
    task: Task, agent: Any, spec: str, folder: Path, arguments: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Play one agent with a progress bar; every episode is on disk as soon as it is over."""
    screen = console(stderr=True)
    from rich.progress import track

    total = min(arguments.limit or len(task.source), len(task.source))
    episodes = evaluate(
        task,
        agent,
        limit=arguments.limit,
        seed=arguments.seed,
        batch=arguments.batch,
        max_refused=arguments.max_refused,
    )
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    with whole_file(folder / "episodes.jsonl") as stream:
        for item in track(episodes, spec, total, console=screen, transient=True):
            if isinstance(item, Refused):
                refused.append(asdict(item))
                continue
            row = episode_row(item)
            stream.write(json_line(row))
            rows.append({key: row[key] for key in _MEASURED})
    return rows, refused


_MEASURED = (
    "kind",
    "source",
    "correct",
    "requested",
    "well_formed",
    "futile_request",
    "visual_tokens",
    "full_tokens",
)


def _folders(out: Path, specs: Sequence[str], overwrite: bool) -> list[Path]:
    """A folder an agent, named after its spec, and numbered where names fall together."""
    names: list[str] = []
    for spec in specs:
        name = re.sub(r"[^A-Za-z0-9.=-]+", "_", spec).strip("_.")
        names.append(name if name not in names else f"{name}_{len(names)}")
    return [results_folder(out / name, overwrite) for name in names]


def _draw(results: Mapping[str, Mapping[str, Any]], data: str, out: Path) -> None:
    if len(results) > 1:
        accuracy_against_tokens(results, f"Accuracy against visual tokens: {data}", out / "plot")
        return
    ((spec, result),) = results.items()
    points = {"all": result, **result["by_kind"]}
    accuracy_against_tokens(
        points, f"Accuracy against visual tokens: {spec} on {data}", out / "plot"
    )


def _show(results: Mapping[str, Mapping[str, Any]], out: Path) -> None:
    """A line an agent and where each asks; of one agent, a line a kind."""
    screen = console()
    if len(results) > 1:
        screen.print(result_table("agent", "accuracy against visual tokens", results))
        screen.print(source_table(results))
    else:
        ((spec, result),) = results.items()
        lines = {"all": result, **{k or "(no kind)": v for k, v in result["by_kind"].items()}}
        screen.print(result_table("kind", f"{spec}: accuracy against visual tokens", lines))
    screen.print(f"tokens: visual tokens an episode; share: of the original shown once\nin {out}")
