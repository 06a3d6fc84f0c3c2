"""For the site: pages made from the code, and formulas as MathML.

The home page is README. ``reference/recipes.md`` lists every key of a recipe, from the dataclasses;
``reference/cli.md`` is the help of every command, from the parsers. Formulas become MathML while
the site is built, so that a browser needs no script and no network to show them.
"""

# pyright: basic, reportMissingImports=false
import argparse
import inspect
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from html import unescape
from pathlib import Path
from typing import Any, get_type_hints

import griffe
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<to>[^)]*)\)")
_FORMULA = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=tag)>', re.S
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made from the code."""
    root = Path(config.config_file_path).parent
    sys.path.insert(0, str(root))
    pages = {
        "index": home_page((root / "README.md").read_text("utf-8")),
        "reference/recipes": recipe_page(),
        "reference/cli": command_page(),
    }
    for name, text in pages.items():
        files.append(File.generated(config, f"{name}.md", content=text))
    return files


def on_page_content(html: str, **_: Any) -> str:
    """Turns the formulas of a page into MathML."""
    return _FORMULA.sub(
        lambda found: convert(
            unescape(found["tex"]), display="block" if found["tag"] == "div" else "inline"
        ),
        html,
    )


def home_page(readme: str) -> str:
    """README with links between the pages; of links to other files of the repository the text."""

    def link(found: re.Match[str]) -> str:
        text, to = found["text"], found["to"]
        if to.startswith("docs/"):
            return f"[{text}]({to.removeprefix('docs/')})"
        return found[0] if to.startswith(("https://", "#")) else text

    return _LINK.sub(link, readme)


def recipe_page() -> str:
    """Every key of a recipe: its type, its default, and what it means."""
    from trainers.config import TrainConfig

    head = [
        "# Recipe keys",
        "",
        "A recipe is a TOML file; `vt train RECIPE KEY=VALUE` replaces a key. A key without a",
        "default must be in the recipe. This page is generated from `trainers.TrainConfig`.",
        "Hyper-parameters of an algorithm, `algorithm.options.NAME`, are the fields of",
        "[its record](trainers.md#trainers.algorithms.Algorithm).",
        "The last column says whether a resumed run may have another value; hosted trainers also",
        "take another `optimiser.microbatch`.",
        "",
    ]
    return "\n".join([*head, *_tables(TrainConfig, "", "no")])


def _tables(record: type, prefix: str, resume: str) -> Iterator[str]:
    hints, meanings = get_type_hints(record), _meanings(record)
    nested = {f.name: hints[f.name] for f in fields(record) if is_dataclass(hints[f.name])}
    yield f"## `[{prefix.rstrip('.')}]`" if prefix else "## Top level"
    yield f"\n{_text(inspect.getdoc(record) or '').partition('. ')[0].rstrip('.')}.\n"
    yield "| key | type | default | meaning | resume |\n|---|---|---|---|---|"
    for item in fields(record):
        if item.name not in nested:
            cells = (f"`{prefix}{item.name}`", _type(hints[item.name]), _default(item))
            after = meanings.get(item.name, ""), _resume(item, resume)
            yield f"| {' | '.join((*cells, *after))} |"
    yield ""
    for item in fields(record):
        if item.name in nested:
            name, kind = item.name, nested[item.name]
            yield from _tables(kind, f"{prefix}{name}.", _resume(item, resume))


def _resume(item: Field[Any], inherited: str) -> str:
    """What a resume may do with a field; :mod:`trainers.config` says it in the metadata."""
    rule = item.metadata.get("resume")
    if callable(rule):
        return "its address"
    return {"free": "yes", "applied": "local trainer"}.get(rule, inherited)


def _meanings(record: type) -> dict[str, str]:
    sections = griffe.Docstring(inspect.getdoc(record) or "").parse("google")
    return {
        item.name: _text(item.description)
        for section in sections
        if section.kind is griffe.DocstringSectionKind.attributes
        for item in section.value
    }


def _type(hint: Any) -> str:
    name = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return f"`{re.sub(r'typing.|collections.abc.', '', name)}`".replace("|", "\\|")


def _default(item: Field[Any]) -> str:
    if item.default is not MISSING:
        return f"`{item.default!r}`".replace("|", "\\|")
    return "required" if item.default_factory is MISSING else f"`{item.default_factory()!r}`"


def _text(docstring: str) -> str:
    """A docstring's text in one line of Markdown."""
    text = re.sub(r":[a-z]+:`~?\.?(?:[\w.]+\.)?(\w+)`", r"`\1`", docstring).replace("``", "`")
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


def command_page() -> str:
    """The help of every command, as ``vt COMMAND --help`` prints it."""
    os.environ["COLUMNS"] = "80"
    page = ["# The command line", "", "What `vt COMMAND --help` prints.", ""]
    for name, parser in _parsers().items():
        page += [f"## vt {name}", "", "```text", parser.format_help().rstrip(), "```", ""]
    return "\n".join(page)


def _parsers() -> dict[str, argparse.ArgumentParser]:
    from experiments import cli

    return {name: cli.parser_of(name) for name in cli.COMMANDS}
