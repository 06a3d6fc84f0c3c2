"""``vt``: play an episode, evaluate agents, judge answers.

A command gets parsed arguments and returns nothing; what a user did wrong is raised as a
``VisionThinkError`` and becomes one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import agents
from vt_env.errors import VisionThinkError

COMMANDS = (
    "demo",
    "play",
    "warmup",
    "prepare",
    "train",
    "eval",
    "compare",
    "report",
    "judge",
    "audit",
    "study",
    "seeds",
    "frontier",
    "serve",
)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """The whole command line; each command module adds its part."""
    parser = Parser(
        prog="vt",
        description="VisionThink as a Gymnasium: a policy looks at a small image first and asks "
        "for the full one only when it needs it.",
        epilog="Each command explains itself: vt COMMAND --help",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"experiments.commands.{name}").add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments; those of the process by default.

    Returns:
        The exit code: 0, 2 for wrong input, 1 where a file or the disk fails, 130 when
        interrupted.
    """
    if not hasattr(agents, "make_agent"):
        print(  # noqa: T201
            f"vt: the import name 'agents' belongs to another package here ({agents.__file__}, "
            "perhaps openai-agents); install visionthink-gym in an environment of its own",
            file=sys.stderr,
        )
        return 2
    arguments = _parse(argv)
    try:
        arguments.run(arguments)
    except VisionThinkError as error:
        print(f"vt {arguments.command}: {one_line(error)}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"vt {arguments.command}: {one_line(error)}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse; ``key=value`` settings may stand before and after options."""
    parser = build_parser()
    arguments, left = parser.parse_known_args(argv)
    takes_settings = hasattr(arguments, "settings")
    if takes_settings and all("=" in word and not word.startswith("-") for word in left):
        arguments.settings = [*arguments.settings, *left]
    elif left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return arguments


def one_line(error: Exception) -> str:
    """An error's message without line breaks or characters that a terminal cannot show."""
    text = " ".join(str(error).split())
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


if __name__ == "__main__":
    sys.exit(main())
