"""Options that several commands share, and the terminal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from vt_env import MissingExtra, Task, make_task
from vt_env.pictures import FIRST_LOOKS
from vt_env.protocol import PRESETS

if TYPE_CHECKING:
    from rich.console import Console


def add_amount_options(parser: argparse.ArgumentParser, what: str) -> None:
    """How much is played, how much of it at once, and how much may be refused.

    Args:
        parser: Where they go.
        what: What is played at once, in the plural.
    """
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N samples")
    parser.add_argument(
        "--batch", type=positive, default=16, metavar="N", help=f"{what} at once (default: 16)"
    )
    parser.add_argument(
        "--max-refused",
        type=share,
        default=0.1,
        metavar="SHARE",
        help="share of pictures that may turn out broken before it stops (default: 0.1)",
    )


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """What is played, by which rules, and who judges."""
    group = parser.add_argument_group("the task")
    group.add_argument(
        "--protocol",
        default="visionthink",
        choices=sorted(PRESETS),
        help="visionthink: half-size first, the original on request (default); general: the "
        "original, no tool; low: half-size, no tool",
    )
    group.add_argument("--judge", default="auto", metavar="NAME", help="who judges (default: auto)")
    group.add_argument(
        "--tokens",
        metavar="FAMILY",
        help="whose visual tokens are counted: qwen2-vl, qwen2.5-vl, qwen3-vl, internvl, tiny; "
        "with bounds as in qwen2.5-vl:max_pixels=1003520 (default: what the data was made for, "
        "else qwen2.5-vl)",
    )
    group.add_argument("--prompt", metavar="FILE", help="a prompt template in place of the shipped")
    group.add_argument(
        "--factor", type=float, help="side of the first view over the original's (default: 0.5)"
    )
    group.add_argument("--max-turns", type=int, help="turns a policy has (default: 2)")
    group.add_argument(
        "--tool",
        action="append",
        dest="tools",
        metavar="NAME",
        help="a tool in place of the protocol's; give it several times for more",
    )
    group.add_argument(
        "--first-look",
        default="lanczos",
        choices=FIRST_LOOKS,
        help="how the first view is made; reduce and draft are cheaper (default: lanczos)",
    )


def rules_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options put in the place of the protocol's own rules."""
    names = ("tokens", "prompt", "factor", "max_turns", "first_look", "tools")
    return {name: getattr(arguments, name) for name in names}


def task_of(arguments: argparse.Namespace, data: Any, **replaced: Any) -> Task:
    """The task that the options describe."""
    given = {"protocol": arguments.protocol, "judge": arguments.judge, **rules_of(arguments)}
    return make_task(data, **{**given, **replaced})


def parse_shard(text: str) -> tuple[int, int]:
    """``I/N``, for argparse."""
    i, slash, n = text.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise argparse.ArgumentTypeError(f"expected I/N with 0 <= I < N, got {text!r}")
    return int(i), int(n)


def console(stderr: bool = False) -> Console:
    """The terminal.

    Raises:
        MissingExtra: If rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as error:
        raise MissingExtra("rich", "cli", "the command line") from error
    screen = Console(stderr=stderr, highlight=False)
    if not screen.is_terminal:
        screen.width = 120  # a log or a pipe: wide enough for every table
    return screen


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
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
