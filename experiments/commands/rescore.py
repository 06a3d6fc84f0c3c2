"""``vt eval --from``: episodes that are on disk, or lmms-eval's sample logs, as results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from experiments.commands.options import console
from experiments.evaluation.recorded import score_recorded
from experiments.files import results_folder
from experiments.lmms.scoring import PREFIX, Asked, score_logs
from experiments.tables import agreement_table
from vt_env import ConfigError, make_judge
from vt_env.judges import close

_SHOWN = 5


def rescore(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write what ``--from`` asks for; results by what they are of."""
    given: str = arguments.recorded
    if given.startswith(PREFIX):
        return _logs(arguments)
    if arguments.variant is not None or arguments.judge_model is not None:
        raise ConfigError("--variant and --judge-model go with --suite, or with --from lmms:PATH")
    out = results_folder(arguments.out, arguments.overwrite)
    judge = None if arguments.judge is None else make_judge(arguments.judge)
    with ExitStack() as held, _counter("episodes") as told:
        if judge is not None:
            held.callback(close, judge)
        result = score_recorded(Path(given), out, judge, seed=arguments.seed, told=told)
    return {given: result}


def _logs(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.judge is not None and arguments.variant is not None:
        raise ConfigError("--judge and --variant both say who judges: choose one")
    asked = Asked.parse(arguments.recorded)
    out = results_folder(arguments.out, arguments.overwrite)
    with _counter("documents") as told:
        return score_logs(
            asked,
            out,
            arguments.judge,
            arguments.variant,
            arguments.judge_model,
            seed=arguments.seed,
            told=told,
        )


@contextmanager
def _counter(what: str) -> Iterator[Any]:
    """Counts on the terminal while it works."""
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn(f"{{task.completed:.0f}} {what}"))
    screen = console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done: bar.update(task, completed=done)


def show_agreement(results: Mapping[str, Mapping[str, Any]]) -> None:
    """Our verdicts beside lmms-eval's, where results are of its logs."""
    beside = {name: found for name, r in results.items() if (found := r.get("lmms"))}
    if not beside:
        return
    screen = console()
    screen.print(agreement_table(beside))
    for name, found in beside.items():
        for one in found.get("differ", [])[:_SHOWN]:
            screen.print(
                f"{one['id']}: lmms-eval {one['lmms']:g}, here {one['ours']:g}: "
                f"{one['answer']!r:.60} for {one['references']!r:.60} ({one['reason']})",
                soft_wrap=True,
                markup=False,
            )
        if (more := len(found.get("differ", [])) - _SHOWN) > 0:
            screen.print(f"{name}: {more} more are in its result.json, under lmms.differ")
        if found.get("facts", {}).get("altered"):
            screen.print(f"{name}: the task's filters changed {found['facts']['altered']} answers")
