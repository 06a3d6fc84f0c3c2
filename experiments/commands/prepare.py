"""``vt prepare``: training data by difficulty, as a policy meets it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agents import AGENTS, closing, make_agent
from experiments.commands.options import (
    add_amount_options,
    add_folder_options,
    add_view_options,
    console,
    looked,
    mode_of,
    natural,
    need_rich,
    positive,
    refuse_own,
    told,
)
from experiments.parsing import Parser, option
from experiments.preparation import CLASSES, Rule, Settings
from experiments.preparation.rule import PER_CLASS, PLAYED, UNSCORED, Balance, Tally
from experiments.preparation.run import COLD_START, FORMATS, KIND, Preparation, Wanted, opened
from experiments.preparation.screening import NEAR
from experiments.preparation.settings import sampled
from experiments.preparation.writing import THOUGHTS, import_datasets
from experiments.tables import Column, Table
from vt_env import ConfigError, make_judge
from vt_env.specs import parse_spec

DESCRIPTION = """\
Roll out every sample at the low and at the full resolution, judge, and keep as many samples for
which the low one is enough as samples that need the full one (arXiv 2507.13348, Sec. 3.5).

agents: vt list agents; models sample at temperature 1 unless their spec says otherwise

data:   generated[:n=2000,seed=0,split=train], jsonl:FILE, folder:FOLDER, hf:PATH, or just a path
"""
EPILOG = """\
In DIR: jsonl/ and hf/, which open as jsonl:DIR/jsonl and hf:DIR/hf; report.json; rollouts.jsonl
(every rollout) and settings.json. A run that was interrupted goes on with
`vt prepare --resume --out DIR`: nothing is generated or judged twice. What shapes the rollouts must
stay as it was; the rule, the sizes, the formats, --limit, --cold-start and --report may change.
"""


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    option(parser, "--agent NAME[:ARGS]", "who is to be trained")
    option(parser, "--data SOURCE", "what is prepared")
    option(parser, "--out DIR", "where results go", Path, required=True)
    add_folder_options(parser, "preparation")
    add_amount_options(parser, "samples")
    option(parser, "--report", "also write report.html and a plot")
    _add_rollout_options(parser)
    _add_choice_options(parser)


def _add_rollout_options(parser: Parser) -> None:
    """What must stay as it is from the beginning to the end."""
    group = parser.add_argument_group("the rollouts (as they were, with --resume)")
    option(group, "--rollouts N", "at each resolution (paper: 8)", positive, 8)
    option(group, "--seed S", "of the rollouts", natural, 0)
    option(group, "--against SOURCE",
           "an evaluation set: samples whose picture occurs there are left out; several times for "
           "more", default=[], action="append")  # fmt: skip
    option(group, "--near BITS",
           "hashes of pictures that look alike differ in so many bits at most; off takes only "
           "equal pixels for the same picture", _near, NEAR)  # fmt: skip
    option(group, "--judge NAME", "who judges", default="auto")
    add_view_options(group)


def _add_choice_options(parser: Parser) -> None:
    group = parser.add_argument_group("what is kept of them")
    option(group, "--enough N",
           "low_enough: so many right at both resolutions (default: all, the paper's)", positive,
           )  # fmt: skip
    option(
        group, "--gap N", "needs_high: so many more right at the full one (paper: 6)", positive, 6
    )
    option(group, "--classes NAME,NAME",
           f"which are kept, of {', '.join(CLASSES)}",
           default=",".join(Balance().classes))  # fmt: skip
    option(group, "--per-class N", "at most so many of each (paper: 10000)", positive, PER_CLASS)
    option(group, "--unequal", "don't cut each class to the size of the smallest")
    option(group, "--choice-seed S", "of what is kept", natural, 0)
    option(group, "--format",
           "jsonl/, hf/ (needs the extra hf), or both", [*FORMATS, "both"], "both")  # fmt: skip
    option(group, "--cold-start N",
           f"also write N supervised transcripts to {COLD_START}/, half of which ask; 0: none",
           positive, 0)  # fmt: skip
    option(group, "--thought TEXT",
           "what is thought before a request in them; several times for more",
           action="append")  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Roll out what is left, choose, write, show."""
    need_rich()
    stamp = looked(arguments, KIND)
    shaping = _settings(arguments)
    wanted = _wanted(arguments, shaping)
    AGENTS.get(parse_spec(shaping.agent)[0])
    refuse_own(arguments, shaping.data, *shaping.against, shaping.agent, shaping.prompt)
    judge = make_judge(shaping.judge)
    try:
        with opened(
            arguments.out,
            shaping,
            judge,
            wanted=wanted,
            mode=mode_of(arguments),
            limit=arguments.limit,
            words=told(arguments, stamp if arguments.resume else None),
        ) as preparation:
            tally = _roll_out(preparation, wanted.rule, arguments)
            made = preparation.make(wanted, tally)
        _show(made, arguments.out)
        if (usage := judge.usage) is not None:
            console().say(f"judging: {usage}")
    finally:
        judge.close()


def _settings(arguments: argparse.Namespace) -> Settings:
    """What shapes the rollouts."""
    if missing := [f"--{name}" for name in ("agent", "data") if getattr(arguments, name) is None]:
        raise ConfigError(f"expected {' and '.join(missing)}, or --resume")
    names = "data", "rollouts", "seed", "judge", "tokens", "prompt", "first_look", "max_pixels"
    return Settings(
        agent=sampled(arguments.agent),
        against=tuple(arguments.against),
        near=None if arguments.near < 0 else arguments.near,
        factor=0.5 if arguments.factor is None else arguments.factor,
        **{name: getattr(arguments, name) for name in names},
    )


def _wanted(arguments: argparse.Namespace, shaping: Settings) -> Wanted:
    formats = FORMATS if arguments.format == "both" else (arguments.format,)
    if "hf" in formats:
        import_datasets()
    enough = shaping.rollouts if arguments.enough is None else arguments.enough
    return Wanted(
        Rule(shaping.rollouts, enough, arguments.gap),
        Balance(
            tuple(arguments.classes.split(",")),
            arguments.per_class,
            not arguments.unequal,
            arguments.choice_seed,
        ),
        formats,
        arguments.cold_start,
        tuple(arguments.thought or THOUGHTS),
        arguments.report,
    )


def _roll_out(preparation: Preparation, rule: Rule, arguments: argparse.Namespace) -> Tally:
    """Roll out what is left, with a progress bar that has the classes so far."""
    from experiments.screen import progress_bar

    tally = Tally(rule)
    with ExitStack() as held, progress_bar("rolling out", preparation.total) as bar:

        def player() -> Any:
            return held.enter_context(closing(make_agent(preparation.settings.agent)))

        rows: Iterator[dict[str, Any]] = preparation.roll_out(
            player, batch=arguments.batch, max_refused=arguments.max_refused
        )
        for done, row in enumerate(rows, 1):
            tally.add(row)
            counts = ", ".join(f"{name} {tally.classes[name]}" for name in CLASSES)
            bar(done, numbers=counts)
    return tally


def _show(made: Mapping[str, Any], out: Path) -> None:
    screen = console()
    counts = {UNSCORED: made["classes"][UNSCORED], **made["status"]}
    del counts[PLAYED]
    rows = [[name, made["classes"][name], made["kept"].get(name)] for name in CLASSES]
    rows += [[name, count, None] for name, count in counts.items() if count]
    heads = [Column("class", text=True), Column("samples"), Column("kept")]
    screen.say(f"{made['samples']} samples of {made['data']}")
    screen.show(Table("", heads, rows))
    if found := made.get("cold_start"):
        both = " and ".join(f"{count} {kind}" for kind, count in found.items())
        screen.say(f"cold start: {both} transcripts")
    screen.say(f"in {out}")


def _near(text: str) -> int:
    """Bits, or -1 for off."""
    if text == "off":
        return -1
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of bits, or off, got {text!r}")
    return int(text)
