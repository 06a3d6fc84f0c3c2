"""``vt list``: the names that other commands take, and completion of them in a shell."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import takewhile

from experiments.commands.options import console
from experiments.parsing import Parser, option
from experiments.tables import Column, Table
from vt_env import ConfigError
from vt_env.errors import MissingExtra
from vt_env.packages import load_object

DESCRIPTION = """\
List names. With --completion, write a shell's script instead, as in

  vt list --completion bash > ~/.local/share/bash-completion/completions/vt
"""
_REGISTRIES = {
    "agents": "agents:AGENTS",
    "judges": "vt_env.judges:JUDGES",
    "sources": "vt_env.sources.opening:SOURCES",
    "modes": "experiments.evaluation.modes:MODES",
    "benchmarks": "experiments.benchmarks:BENCHMARKS",
    "trainers": "trainers:TRAINERS",
}
"""Where the names of a kind are registered, a plug-in's too."""
_FILES = {"recipes": "experiments.recipe:FOLDER", "studies": "experiments.study:FOLDER"}
"""Folders of TOML files, whose first sentence says what they are."""
LISTS = (*_FILES, "keys", *_REGISTRIES)
SHELLS = ["bash", "zsh", "tcsh"]


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    option(parser, "WHAT", f"one of {', '.join(LISTS)}", list(LISTS), nargs="?")
    option(parser, "--completion SHELL", f"one of {', '.join(SHELLS)}", SHELLS)


def run(arguments: argparse.Namespace) -> None:
    """Show a table, or write a script."""
    if arguments.completion is not None:
        sys.stdout.write(completion(arguments.completion))
        return
    if (what := arguments.what) is None:
        raise ConfigError(f"expected one of {', '.join(LISTS)}, or --completion SHELL")
    heads, rows = ("name", "what it is"), _registered(what) if what in _REGISTRIES else _files(what)
    if what == "keys":
        from experiments.recipe import keys

        heads = ("key of a recipe", "type", "default", "what it is")
        rows = ((*key, _plain(about)) for *key, about in keys())
    console().show(Table("", [Column(head, text=True) for head in heads], list(rows)))


def _registered(kind: str) -> Iterator[tuple[str, str]]:
    """Names with the first sentence of what is behind them, where that can be imported."""
    registry = load_object(_REGISTRIES[kind])
    for name in registry.names():
        try:
            benchmark = kind == "benchmarks"
            told = registry.make(name).title if benchmark else registry.get(name).__doc__
            about = _first(told or "")
        except (ConfigError, MissingExtra) as error:
            about = f"cannot be used here: {error}"
        yield name, about


def _files(kind: str) -> Iterator[tuple[str, str]]:
    """Files by name with their first sentence."""
    for file in sorted(load_object(_FILES[kind]).glob("*.toml") if kind in _FILES else ()):
        lines = file.read_text("utf-8").splitlines()
        told = takewhile(lambda line: line.startswith("#"), lines)
        yield file.stem, _first("\n".join(line.lstrip("# ") for line in told))


def _first(text: str) -> str:
    """The first sentence of a text's first paragraph."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    found = re.match(r".*?[.?!](?=\s|$)", paragraph)
    return _plain(found[0] if found else paragraph)


def _plain(text: str) -> str:
    """A docstring's text without its marks."""
    return re.sub(r"(?::\w+:)?`+~?([^`]*)`+", r"\1", text)


def completion(shell: str) -> str:
    """The script that completes ``vt``."""
    from experiments.cli import COMMANDS, parser_of

    try:
        import shtab
    except ImportError as error:
        raise MissingExtra("shtab", "cli", "completion") from error
    whole = argparse.ArgumentParser(prog="vt")
    commands = whole.add_subparsers()
    for name, what in COMMANDS.items():
        commands.add_parser(name, parents=[parser_of(name)], add_help=False, help=what)
    return shtab.complete(whole, shell)
