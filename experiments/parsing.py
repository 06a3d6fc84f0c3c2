"""Parsing of the command line: options in one line each, and complaints in one line.

A complaint says what was expected, what came, and the close match.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from experiments.terminal import one_line

_PLAINER = (
    (re.compile(r"invalid int value: (.*)"), r"expected a whole number, got \1"),
    (re.compile(r"invalid float value: (.*)"), r"expected a number, got \1"),
    (re.compile(r"expected one argument"), "expected a value after it"),
    (re.compile(r"expected at least one argument"), "expected one or more values after it"),
)
"""What argparse says, and the same in plain words."""


class Help(argparse.HelpFormatter):
    """Help whose paragraphs are as wide as the terminal; what has an indented line stays."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        parts = text.strip("\n").split("\n\n")
        return "\n\n".join(p if "\n " in f"\n{p}" else fill(p, width, indent) for p in parts)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is."""
        for pattern, plain in _PLAINER:
            message = pattern.sub(plain, message)
        self.exit(2, f"{self.prog}: {one_line(message)} (see {self.prog} --help)\n")

    def _get_values(self, action: argparse.Action, arg_strings: Any) -> Any:
        if action.nargs != argparse.PARSER and not all(word.strip() for word in arg_strings):
            raise argparse.ArgumentError(action, "expected a value, got ''")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices or value is argparse.SUPPRESS:
            return
        known = [str(choice) for choice in action.choices]
        raise argparse.ArgumentError(
            action, f"invalid choice: {value!r}{meant(value, known)}; known: {', '.join(known)}"
        )


def option(
    parser: argparse._ActionsContainer,
    flag: str,
    help: str,
    type: Any = None,
    default: Any = None,
    **more: Any,
) -> None:
    """Add an option, or an argument.

    Args:
        parser: Where to: a parser or a group of one.
        flag: As help shows it: ``--limit N`` takes a value, ``--resume`` none; ``DIR`` is an
            argument, whose attribute is its name in small letters.
        help: What it is; the default is added.
        type: Makes the value from text; also a list of choices, or a flag that may come again.
        default: The value where it is not given.
        **more: Further settings of ``add_argument``.
    """
    name, _, metavar = flag.partition(" ")
    if isinstance(type, list | tuple):
        more["choices"] = type
    elif type is not None:
        more["type"] = type
    if not name.startswith("-"):
        name, metavar = more.pop("dest", name.lower()), name
    elif not metavar and "choices" not in more:
        more.setdefault("action", "store_true")
        more.pop("type", None)
    if metavar:
        more["metavar"] = metavar
    if default is not None:
        more["default"] = default
        if default not in ([], ""):
            help += f" (default: {default})"
    parser.add_argument(name, help=help.replace("%", "%%"), **more)


def check_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Refuse a misspelt option before what is missing is complained of.

    Args:
        parser: Of the command.
        words: What follows the command.
    """
    known = [name for action in parser._actions for name in action.option_strings]
    for word in words:
        if word == "--":
            return
        name = word.partition("=")[0]
        if name.startswith("--") and not any(option.startswith(name) for option in known):
            longer = [option for option in known if option.startswith("--")]
            parser.error(f"unknown option {name!r}{meant(name, longer)}")


def meant(word: str, known: Iterable[str]) -> str:
    """The close match of a word, as the end of a complaint."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
