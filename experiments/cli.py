"""The command ``vt``: finds the command's module, parses, runs, and says what went wrong.

A command is a module of :mod:`experiments.commands` with ``describe(parser)`` and
``run(arguments)``; it is imported when it is asked for, so that ``vt --help`` is quick. What a user
did wrong is raised as a ``VisionThinkError`` and becomes one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.parsing import Help, Parser, check_options, meant, option
from experiments.terminal import guard_stderr, one_line
from vt_env import __version__
from vt_env.errors import VisionThinkError
from vt_env.packages import load

COMMANDS: Mapping[str, str] = {
    "demo": "train a tiny policy in minutes and compare it",
    "play": "walk through one episode, on a data set or on your own picture",
    "prepare": "training data by difficulty, and data for a cold start",
    "train": "train a policy as a recipe says",
    "eval": "play agents on a data set: accuracy against visual tokens",
    "compare": "what changed between results, or several beside each other",
    "judge": "verdicts for answers and episodes, and how far they agree with labels",
    "report": "one page about results: numbers, plots, episodes",
    "view": "the same page live in a browser, while a run goes on",
    "study": "many training runs beside each other",
    "warmup": "make the tiny policy that training begins with",
    "serve": "serve the environment to policies on other machines",
    "restore": "take an unfinished --overwrite back",
    "list": "recipes and their keys, agents, judges, sources, modes",
    "doctor": "what is installed here, and what stands in its way",
}
_WITH_SETTINGS = ("demo", "warmup", "train")
_WRONG_PLACE = (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError)
"""What the system says of a path that a user named wrongly."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit code: 0, 1 where the disk fails or a target is missed, 2 for wrong input, 130 when
        interrupted.
    """
    guard_stderr()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parse(words)
    except KeyboardInterrupt:
        print("vt: stopped; nothing was begun", file=sys.stderr)  # noqa: T201
        return 130
    try:
        return arguments.run(arguments) or 0
    except KeyboardInterrupt:
        from experiments.commands.options import going_on

        _say(arguments, going_on(arguments))
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (VisionThinkError, OSError) as error:
        if arguments.debug:
            raise
        code, told = _told(error)
        _say(arguments, told)
        return code


def _told(error: VisionThinkError | OSError) -> tuple[int, object]:
    """The exit code of an error, and what is said of it."""
    if isinstance(error, _WRONG_PLACE) and error.filename is not None:
        return 2, f"cannot use {error.filename}: {error.strerror}"
    return 2 if isinstance(error, VisionThinkError) else 1, error


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; ``key=value`` settings may stand before and after options.

    Beside what the command's own parser makes there is ``command``, ``words``, the command line,
    ``given``, the names of what is said in it, and ``parse``, this function.
    """
    words = list(words)
    if not words or words[0] not in COMMANDS:
        _without_command(words)
    name, rest = words[0], words[1:]
    arguments = _parsed(parser_of(name), name, rest)
    silent = parser_of(name)
    for action in silent._actions:
        action.default = argparse.SUPPRESS
    silent._defaults.clear()
    given = vars(_parsed(silent, name, rest)).keys() - {"run"}
    arguments.command, arguments.words = name, words
    arguments.given, arguments.parse = frozenset(given), parse
    return arguments


def parser_of(name: str) -> Parser:
    """The parser of a command."""
    module = load(f"experiments.commands.{name}")
    made = Parser(prog=f"vt {name}", formatter_class=Help)
    module.describe(made)
    option(made, "--debug", "show where an error comes from")
    made.set_defaults(run=module.run)
    return made


def _without_command(words: Sequence[str]) -> None:
    """``vt --help``, ``vt --version``, or a complaint; never returns."""
    lines = "\n".join(f"  {name:<10}{what}" for name, what in COMMANDS.items())
    top = Parser(
        prog="vt",
        usage="vt COMMAND …",
        description="VisionThink as a Gymnasium: a policy looks at a small image first and asks "
        f"for the full one only when it needs it.\n\n{lines}",
        epilog="Each command explains itself: vt COMMAND --help",
        formatter_class=Help,
    )
    top.add_argument("--version", action="version", version=f"vt {__version__}")
    if words and not words[0].startswith("-"):
        top.error(f"there is no command {words[0]!r}{meant(words[0], COMMANDS)}")
    check_options(top, words)
    top.parse_args(words)
    top.error("the following arguments are required: COMMAND")


def _parsed(parser: Parser, name: str, words: Sequence[str]) -> argparse.Namespace:
    check_options(parser, words)
    arguments, left = parser.parse_known_args(words)
    takes = name in _WITH_SETTINGS
    wrong = [word for word in left if not takes or "=" not in word or word.startswith("-")]
    if wrong:
        more = "; settings are written key=value" if takes else ""
        parser.error(f"unexpected {', '.join(map(repr, wrong))}{more}")
    if left:
        arguments.settings = [*getattr(arguments, "settings", []), *left]
    return arguments


def _say(arguments: argparse.Namespace, message: object) -> None:
    """A line on stderr, and one more where earlier results wait for those that replace them."""
    from trainers.results import kept

    print(f"vt {arguments.command}: {one_line(message)}", file=sys.stderr)  # noqa: T201
    out = getattr(arguments, "out", None)
    if isinstance(out, Path) and (place := kept(out)):
        told = (
            f"vt {arguments.command}: the earlier results are in {place} until the new ones are "
            f"whole; to have them back: vt restore {shlex.quote(str(out))}"
        )
        print(one_line(told), file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
