"""What commands share: options, the terminal, and folders of results that are gone on with."""

from __future__ import annotations

import argparse
import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.parsing import option
from experiments.provenance import paths_in
from trainers.results import Mode, Stamp, look
from vt_env import ConfigError, MissingExtra, PictureRules, Task, make_task
from vt_env.pictures import FIRST_LOOKS
from vt_env.presets import STAGES
from vt_env.protocol import OVER_BUDGET, PRESETS
from vt_env.tokens import COUNTERS

if TYPE_CHECKING:
    from experiments.screen import Screen

RULES = ("tokens", "prompt", "factor", "first_look", "stage", "max_turns", "max_pictures",
         "max_visual_tokens", "over_budget", "tools")  # fmt: skip
"""Options that replace the protocol's own rules."""


def add_amount_options(parser: argparse.ArgumentParser, what: str) -> None:
    """How much is played, how much of it at once, and how much may be refused.

    Args:
        parser: Where they go.
        what: What is played at once, in the plural.
    """
    option(parser, "--limit N", "only the first N samples", positive)
    option(parser, "--batch N", f"{what} at once", positive, 16)
    refused = "share of pictures that may turn out broken before it stops"
    option(parser, "--max-refused SHARE", refused, share, 0.1)


def add_view_options(group: Any) -> None:
    """What the small view is, whose tokens are counted, and how it is asked."""
    option(group, "--tokens FAMILY",
           f"whose visual tokens are counted: {', '.join(COUNTERS.names())}; with "
           "bounds as in qwen2.5-vl:max_pixels=1003520 (default: what the data was made for, else "
           "what the model's name says, else qwen2.5-vl)")  # fmt: skip
    option(group, "--prompt FILE", "a prompt template in place of the shipped")
    option(group, "--factor FACTOR", "side of the first view over the original's (default: 0.5)",
           float)  # fmt: skip
    option(group, "--first-look HOW",
           f"how the first view is made: {', '.join(FIRST_LOOKS)}, of which the last two are "
           "cheaper; or its bound in place of the factor: tokens:256, side:512 "
           "(default: lanczos, or as the protocol says)")  # fmt: skip
    option(group, "--max-pixels N",
           "larger pictures are shrunk to N pixels before anything is shown of them, as "
           "environment.max_pixels does in training (default: none is)", positive)  # fmt: skip


def add_task_options(parser: argparse.ArgumentParser, stage: str = "training") -> None:
    """What is played, by which rules, and who judges.

    Args:
        parser: Where they go.
        stage: Whose budgets are the default, where a protocol has others for measuring.
    """
    group = parser.add_argument_group("the task")
    option(group, "--protocol",
           "visionthink: half-size first, the original on request; general: the original, no tool; "
           "low: half-size, no tool", sorted(PRESETS), "visionthink")  # fmt: skip
    option(group, "--judge NAME", "who judges", default="auto")
    add_view_options(group)
    option(group, "--stage", "whose budgets, where the protocol has others for measuring than for "
           "training", list(STAGES), stage)  # fmt: skip
    option(group, "--max-turns N", "turns a policy has (default: the protocol's)", int)
    option(group, "--max-pictures N", "views of a rollout, the first ones included", int)
    option(group, "--max-visual-tokens N", "visual tokens of all views of a rollout", int)
    option(group, "--over-budget",
           "what a rollout is that a call takes over a budget", list(OVER_BUDGET))  # fmt: skip
    option(group, "--tool NAME",
           "a tool in place of the protocol's; several times for more", action="append",
           dest="tools")  # fmt: skip


def add_folder_options(parser: argparse.ArgumentParser, what: str, *, resumes: bool = True) -> None:
    """``--resume``, where the command has it, and ``--overwrite``.

    Args:
        parser: Where they go.
        what: What is in the folder.
        resumes: Whether the command can go on.
    """
    how = parser.add_mutually_exclusive_group()
    if resumes:
        option(how, "--resume", f"go on with the {what} in DIR")
    gone = f"replace the {what} in DIR; what is there goes when the new is whole"
    option(how, "--overwrite", gone)


def rules_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options put in the place of the protocol's own rules."""
    given = {name: getattr(arguments, name) for name in RULES}
    return {**given, "rules": PictureRules.shrinking(arguments.max_pixels)}


def task_of(arguments: argparse.Namespace, data: Any, **replaced: Any) -> Task:
    """The task that the options describe."""
    given = {"protocol": arguments.protocol, "judge": arguments.judge, **rules_of(arguments)}
    return make_task(data, **{**given, **replaced})


def console(stderr: bool = False) -> Screen:
    """The terminal."""
    need_rich()
    from experiments.screen import Screen

    return Screen(stderr)


@contextmanager
def logged_on(screen: Screen) -> Iterator[None]:
    """Show what is told besides numbers: how far the reading of pictures is, refusals."""
    from rich.logging import RichHandler

    handler = RichHandler(console=screen, show_path=False, show_time=False)
    loggers = [logging.getLogger(name) for name in ("trainers", "vt_env")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            logger.removeHandler(handler)


def need_rich() -> None:
    """Find out whether there is a terminal to write to."""
    try:
        import rich.console  # noqa: F401
    except ImportError as error:
        raise MissingExtra("rich", "cli", "the command line") from error


def need_torch() -> None:
    """One thread of torch: a model this small is slower on two, and one gives equal runs."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "demo", "training") from error
    torch.set_num_threads(1)


def parse_shard(text: str) -> tuple[int, int]:
    """``I/N``, for argparse."""
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise argparse.ArgumentTypeError(f"expected I/N with 0 <= I < N, got {text!r}")
    return int(i), int(n)


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or not text.strip("0"):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return natural(text)


def natural(text: str) -> int:
    """A whole number from 0 up, for argparse."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, got {text!r:.80}")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
    return value


_WORDS = "words"
_NOW_ONLY = {"resume", "overwrite", "out", "prepare", "debug", "print_config"}
"""Options that say what is to be done now, and are not recalled."""


def mode_of(arguments: argparse.Namespace) -> Mode:
    """What is to be done with what is there."""
    resume = getattr(arguments, "resume", False)
    return "resume" if resume else "overwrite" if arguments.overwrite else "new"


def told(arguments: argparse.Namespace, stamp: Stamp | None = None) -> dict[str, Any]:
    """What a stamp keeps of a command: its words, after those of the commands that it resumes."""
    before = stamp.settings.get(_WORDS, []) if stamp is not None else []
    new = bool(arguments.given - _NOW_ONLY)
    return {_WORDS: [*before, *([arguments.words] if new or not before else [])]}


def looked(arguments: argparse.Namespace, kind: str) -> Stamp | None:
    """Look at the folder of results; where it is gone on with, recall what it was begun with."""
    stamp = look(arguments.out, kind, mode_of(arguments))
    if arguments.resume and stamp is not None:
        recall(arguments, stamp)
    return stamp


def recall(arguments: argparse.Namespace, stamp: Stamp) -> None:
    """Take from the commands before what this one does not say."""
    known = set(arguments.given)
    for words in reversed(stamp.settings.get(_WORDS, [])):
        try:
            before = arguments.parse(words)
        except SystemExit:
            raise ConfigError(
                f"this version does not understand what {arguments.out} was begun with: "
                f"{shlex.join(words)}"
            ) from None
        if "settings" in before.given:  # the later ones have the last word
            arguments.settings = [*before.settings, *arguments.settings]
            known.add("settings")
        for name in before.given - known - _NOW_ONLY:
            setattr(arguments, name, getattr(before, name))
            known.add(name)
    arguments.given = frozenset(known)


def refuse_own(arguments: argparse.Namespace, *specs: str | Path | None) -> None:
    """Refuse to overwrite what is to be read.

    Args:
        arguments: With ``out`` and what is to be done.
        specs: Paths, or specs that name some, of data, models and agents.
    """
    if mode_of(arguments) != "overwrite":
        return
    out = arguments.out.resolve()
    for spec in filter(None, specs):
        for path in (Path(spec), *paths_in(str(spec)).values()):
            if path.exists() and path.resolve().is_relative_to(out):
                raise ConfigError(f"{path} is to be read, and lies in {arguments.out}, which "
                                  "would be overwritten; choose another --out")  # fmt: skip


def going_on(arguments: argparse.Namespace) -> str:
    """Where an interrupted command left things, and how to go on."""
    out = getattr(arguments, "out", None)
    if not isinstance(out, Path):
        return "stopped"
    again = shlex.join(["vt", *arguments.words])
    if not out.is_dir():
        part = out.with_name(f"{out.name}.part")
        if part.exists() and hasattr(arguments, "resume"):
            words = [w for w in arguments.words if w not in ("--resume", "--overwrite")]
            return (
                f"stopped; {part} has what is done. To go on: {shlex.join(['vt', *words])} --resume"
            )
        return f"stopped; nothing is left in {out}. To begin anew: {again}"
    if Stamp.read(out) is None:
        return f"stopped; nothing of it is in {out}. To begin anew: {again}"
    if arguments.command == "judge":
        return f"stopped; what is in {out} is not whole. To begin anew: {again} --overwrite"
    if hasattr(arguments, "resume"):
        again = f"vt {arguments.command} --resume --out {shlex.quote(str(out))}"
    return f"stopped; what is done is in {out}. To go on: {again}"
