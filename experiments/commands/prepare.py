"""``vt prepare``: training data by difficulty, as a policy meets it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents import AGENTS, make_agent
from experiments.commands.options import (
    add_amount_options,
    console,
    positive,
)
from experiments.preparation import CLASSES, Rule, Settings, cold_start, log, settings
from experiments.preparation.prints import NEAR
from experiments.preparation.run import COLD_START, FORMATS, Preparation, Wanted, forget, opened
from experiments.preparation.selection import PER_CLASS, Balance
from experiments.preparation.tally import UNSCORED, Tally
from experiments.preparation.writing import import_datasets
from vt_env import ConfigError, make_judge
from vt_env.judges import close
from vt_env.judges.models import usage_of
from vt_env.pictures import FIRST_LOOKS

DESCRIPTION = f"""\
Roll out every sample at the low and at the full resolution, judge, and keep as many samples for
which the low one is enough as samples that need the full one (arXiv 2507.13348, Sec. 3.5).

agents: {", ".join(AGENTS.names())}; models sample at temperature 1 unless their spec says otherwise
data:   generated[:n=2000,seed=0,split=train], jsonl:FILE, folder:FOLDER, hf:PATH, or just a path
"""
EPILOG = """\
In DIR: jsonl/ and hf/, which open as jsonl:DIR/jsonl and hf:DIR/hf; report.json; rollouts.jsonl
(every rollout) and settings.json. A run that was interrupted goes on with
`vt prepare --resume --out DIR`: nothing is generated or judged twice. What shapes the rollouts must
stay as it was; the rule, the sizes, the formats, --limit, --cold-start and --report may change.
"""
_FROM_SETTINGS = ("agent", "data", "against", "rollouts", "seed", "judge", "tokens", "prompt",
                  "factor", "first_look", "near")  # fmt: skip


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "prepare",
        help="training data by difficulty, and data for a cold start",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--agent", metavar="NAME[:ARGS]", help="who is to be trained")
    parser.add_argument("--data", metavar="SOURCE", help="what is prepared")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results go")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--resume", action="store_true", help="go on with the preparation in DIR")
    how.add_argument("--overwrite", action="store_true", help="delete the one in DIR first")
    add_amount_options(parser, "samples")
    parser.add_argument("--report", action="store_true", help="also write report.html and a plot")
    _add_rollout_options(parser)
    _add_choice_options(parser)
    parser.set_defaults(run=run)


def _add_rollout_options(parser: argparse.ArgumentParser) -> None:
    """What must stay as it is from the beginning to the end; ``None`` is not said."""
    group = parser.add_argument_group("the rollouts (as they were, with --resume)")
    group.add_argument(
        "--rollouts",
        type=positive,
        metavar="N",
        help="at each resolution (default: 8, the paper's)",
    )
    group.add_argument("--seed", type=int, metavar="S", help="(default: 0)")
    group.add_argument(
        "--against",
        action="append",
        metavar="SOURCE",
        help="an evaluation set: samples whose picture occurs there are left out; several times "
        "for more",
    )
    group.add_argument(
        "--near",
        type=_near,
        metavar="BITS",
        help="hashes of pictures that look alike differ in so many bits at most; off takes only "
        f"equal pixels for the same picture (default: {NEAR})",
    )
    group.add_argument("--judge", metavar="NAME", help="who judges (default: auto)")
    group.add_argument(
        "--tokens", metavar="FAMILY", help="whose visual tokens are counted, see vt eval"
    )
    group.add_argument("--prompt", metavar="FILE", help="a prompt template in place of the shipped")
    group.add_argument(
        "--factor", type=float, help="side of the low view over the original's (default: 0.5)"
    )
    group.add_argument(
        "--first-look", choices=FIRST_LOOKS, help="how the low view is made (default: lanczos)"
    )


def _add_choice_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is kept of them")
    group.add_argument(
        "--enough",
        type=positive,
        metavar="N",
        help="low_enough: so many right at both resolutions (default: all, the paper's)",
    )
    group.add_argument(
        "--gap",
        type=positive,
        default=6,
        metavar="N",
        help="needs_high: so many more right at the full one (default: 6, the paper's)",
    )
    group.add_argument(
        "--classes",
        default=",".join(Balance().classes),
        metavar="NAME,NAME",
        help=f"which are kept, of {', '.join(CLASSES)} (default: the first two, as the paper does)",
    )
    group.add_argument(
        "--per-class",
        type=positive,
        default=PER_CLASS,
        metavar="N",
        help=f"at most so many of each (default: {PER_CLASS}, the paper's)",
    )
    group.add_argument(
        "--unequal", action="store_true", help="don't cut each class to the size of the smallest"
    )
    group.add_argument(
        "--choice-seed", type=int, default=0, metavar="S", help="of what is kept (default: 0)"
    )
    group.add_argument(
        "--format",
        default="both",
        choices=(*FORMATS, "both"),
        help="jsonl/, hf/ (needs the extra hf), or both (default)",
    )
    group.add_argument(
        "--cold-start",
        type=positive,
        default=0,
        metavar="N",
        help=f"also write N supervised transcripts to {COLD_START}/, half of which ask",
    )
    group.add_argument(
        "--thought",
        action="append",
        metavar="TEXT",
        help="what is thought before a request in them; several times for more",
    )


def run(arguments: argparse.Namespace) -> None:
    """Roll out what is left, choose, write, show."""
    told = _settings(arguments)
    wanted = _wanted(arguments, told)
    judge = make_judge(told.judge)
    try:
        with opened(
            arguments.out, told, judge, resume=arguments.resume, limit=arguments.limit
        ) as preparation:
            tally = _roll_out(preparation, wanted.rule, arguments)
            made = preparation.make(wanted, tally)
        _show(made, arguments.out)
        if (usage := usage_of(judge)) is not None:
            console().print(f"judging: {usage}")
    finally:
        close(judge)


def _settings(arguments: argparse.Namespace) -> Settings:
    """The settings, after the folder was looked at; what is in it is deleted if that is wanted."""
    given = {
        name: value for name in _FROM_SETTINGS if (value := getattr(arguments, name)) is not None
    }
    if "agent" in given:
        given["agent"] = settings.sampled(given["agent"])
    if "against" in given:
        given["against"] = tuple(given["against"])
    if "near" in given:
        given["near"] = None if given["near"] < 0 else given["near"]
    out: Path = arguments.out
    if arguments.resume:
        return settings.resumed(out, given)
    if missing := [f"--{name}" for name in ("agent", "data") if name not in given]:
        raise ConfigError(f"expected {' and '.join(missing)}, or --resume")
    told = Settings(**given)
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out must be a folder, but {out} is a file")
    if (out / log.FILE).exists():
        if not arguments.overwrite:
            raise ConfigError(f"{out} holds a preparation already; add --resume or --overwrite")
        forget(out)
    return told


def _wanted(arguments: argparse.Namespace, told: Settings) -> Wanted:
    formats = FORMATS if arguments.format == "both" else (arguments.format,)
    if "hf" in formats:
        import_datasets()
    enough = told.rollouts if arguments.enough is None else arguments.enough
    return Wanted(
        Rule(told.rollouts, enough, arguments.gap),
        Balance(
            tuple(arguments.classes.split(",")),
            arguments.per_class,
            not arguments.unequal,
            arguments.choice_seed,
        ),
        formats,
        arguments.cold_start,
        tuple(arguments.thought or cold_start.THOUGHTS),
        arguments.report,
    )


def _roll_out(preparation: Preparation, rule: Rule, arguments: argparse.Namespace) -> Tally:
    """Roll out what is left, with a progress bar that has the classes so far."""
    tally = Tally(rule)
    players: list[Any] = []

    def player() -> Any:
        players.append(make_agent(preparation.settings.agent))
        return players[0]

    rows = preparation.roll_out(player, batch=arguments.batch, max_refused=arguments.max_refused)
    try:
        for row in _tracked(rows, preparation.total, tally):
            tally.add(row)
    finally:
        for agent in players:
            if let_go := getattr(agent, "close", None):
                let_go()
    return tally


def _tracked(rows: Iterator[log.Row], total: int, tally: Tally) -> Iterator[log.Row]:
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("rolling out", total=total)
        for row in rows:
            yield row
            counts = ", ".join(f"{name} {tally.classes[name]}" for name in CLASSES)
            bar.update(task, advance=1, description=counts)


def _show(made: Mapping[str, Any], out: Path) -> None:
    from rich.table import Table

    screen = console()
    screen.print(f"{made['samples']} samples of {made['data']}", soft_wrap=True)
    table = Table()
    for header in ("class", "samples", "kept"):
        table.add_column(header, justify="left" if header == "class" else "right")
    for name in CLASSES:
        kept = made["kept"].get(name)
        table.add_row(name, str(made["classes"][name]), "-" if kept is None else str(kept))
    counts = {UNSCORED: made["classes"][UNSCORED], **made["status"]}
    del counts[log.PLAYED]
    for name, count in counts.items():
        if count:
            table.add_row(name, str(count), "-")
    screen.print(table)
    if found := made.get("cold_start"):
        both = " and ".join(f"{count} {kind}" for kind, count in found.items())
        screen.print(f"cold start: {both} transcripts")
    screen.print(f"in {out}", soft_wrap=True)


def _near(text: str) -> int:
    """Bits, or -1 for off."""
    if text == "off":
        return -1
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of bits, or off, got {text!r}")
    return int(text)
