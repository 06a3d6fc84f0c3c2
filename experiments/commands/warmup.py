"""``vt warmup``: the policy that training begins with."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments.commands.options import (
    add_folder_options,
    console,
    looked,
    mode_of,
    natural,
    need_torch,
    told,
)
from experiments.commands.train import training_bar
from experiments.files import write_json
from experiments.parsing import Parser, option
from experiments.provenance import provenance
from experiments.recipe import overridden, typed
from experiments.tables import Column, Table
from trainers import Progress
from trainers.results import Stamp, begin, look
from vt_env import ConfigError

DESCRIPTION = """\
Make the tiny policy that training begins with: it reads drawn pictures, keeps the format, and asks
for the original half of the time, whatever the question. `vt warmup pages` makes the one that reads
pages instead, in hours; it can be stopped, and goes on with --resume.
"""
TINY, PAGES = "warmup", "warmup pages"
OWNS = {
    TINY: (
        *("config.json", "generation_config.json", "model.safetensors", "preprocessor_config.json"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
        "video_preprocessor_config.json",
    ),
    PAGES: (
        *("state.pt", "before-state.pt", "damaged-state.pt", "log.jsonl", ".meeting*", "model/*"),
        "result.json",
    ),
}
QUESTIONS = 2000
"""Pages of the test split that the bars are measured on."""
FEWEST = 16


def describe(parser: Parser) -> None:
    """Describe the command."""
    parser.description = DESCRIPTION
    option(parser, "KEY=VALUE", "pages for that policy; a setting, such as kinds=close", nargs="*",
           dest="settings")  # fmt: skip
    option(parser, "--out DIR", "the checkpoint", Path, required=True)
    option(parser, "--seed S", "of the weights and the pictures", natural, 0)
    add_folder_options(parser, "checkpoint")


def run(arguments: argparse.Namespace) -> None:
    """Make it."""
    need_torch()
    stamp = Stamp.read(arguments.out) if arguments.resume else None
    if "pages" in arguments.settings or (stamp is not None and stamp.kind == PAGES):
        _pages(arguments)
    elif arguments.resume:
        raise ConfigError("only `vt warmup pages` can be gone on with; begin this one anew")
    else:
        _tiny(arguments)


def _tiny(arguments: argparse.Namespace) -> None:
    from agents.tiny import WarmupConfig, warm_up

    out, mode = arguments.out, mode_of(arguments)
    look(out, TINY, mode, resumes=False)
    config = typed(WarmupConfig, overridden(arguments.settings), "warm-up")
    with begin(out, TINY, OWNS[TINY], mode, settings=told(arguments), resumes=False) as results:
        with results.scratch() as folder, training_bar("warm-up", config.total_steps) as progress:
            made = warm_up(config, folder, arguments.seed, losses(progress))
            for path in folder.iterdir():
                path.rename(out / path.name)
        results.finish()
    console().say(f"loss {made['loss']:.3f}; the model: {out}")


def losses(progress: Progress) -> Callable[[Mapping[str, float]], None]:
    """What a warm-up calls at every step, from what a bar is called with."""
    return lambda numbers: progress(
        int(numbers["step"]), {"loss": numbers.get("loss", numbers.get("head_loss"))}
    )


def _pages(arguments: argparse.Namespace) -> None:
    """Train, measure, show."""
    from agents.models.loading import load_vlm
    from agents.tiny.pages.learner import PagesConfig
    from agents.tiny.pages.measure import BARS, card, measure
    from agents.tiny.pages.warmup import warm_up_pages

    out, mode = arguments.out, mode_of(arguments)
    stamp = looked(arguments, PAGES)
    settings, init, questions = _settings(arguments.settings)
    config = typed(PagesConfig, settings, PAGES)
    screen = console(stderr=True)

    def shown(line: Mapping[str, Any]) -> None:
        numbers = "  ".join(f"{name} {value}" for name, value in line.items() if name != "step")
        screen.say(f"step {line['step']} of {config.steps}: {numbers}")

    with begin(out, PAGES, OWNS[PAGES], mode, settings=told(arguments, stamp)) as results:
        folder = warm_up_pages(config, out, arguments.seed, init, shown)
        vlm = load_vlm(folder, dtype="float32")
        figures = measure(vlm, n=questions, side=config.side, progress=screen.say)
        missed = [bar.figure for bar in BARS if not bar.reached(figures[bar.figure])]
        origin = provenance(arguments.seed, None)
        written = {
            "settings": asdict(config),
            "figures": figures,
            "bars": {bar.figure: [bar.least, bar.most] for bar in BARS},
            "missed": missed,
            "provenance": origin,
        }
        write_json(out / "result.json", written)
        (folder / "README.md").write_text(card(figures, origin, questions, config.side), "utf-8")
        results.finish()
    heads = [Column("figure", text=True), Column("value", ".4f"), Column("bar", text=True)]
    rows = [
        [bar.figure, figures[bar.figure], str(bar), "missed" if bar.figure in missed else ""]
        for bar in BARS
    ]
    title = f"{questions} pages of the test split"
    console().show(Table(title, [*heads, Column("", text=True)], rows))
    verdict = f"missed: {', '.join(missed)}" if missed else "all bars are reached"
    console().say(f"{verdict}; the model: {folder}")


def _settings(words: Sequence[str]) -> tuple[dict[str, Any], Path | None, int]:
    """What follows ``pages``: settings of the warm-up, weights to begin with, test questions."""
    settings = overridden([word for word in words if word != "pages"])
    init = settings.pop("init", None)
    questions = settings.pop("questions", QUESTIONS)
    if not isinstance(questions, int) or isinstance(questions, bool) or questions < FEWEST:
        raise ConfigError(
            f"questions must be a whole number from {FEWEST} up, so that both prints are asked "
            f"for, got {questions!r}"
        )
    return settings, None if init is None else Path(str(init)), questions
