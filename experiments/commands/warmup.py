"""``vt warmup``: a tiny policy that can see and speak, before any reinforcement."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.commands.options import console
from experiments.recipe import overridden, typed
from vt_env import ConfigError, MissingExtra

DESCRIPTION = """\
Make the tiny policy that training begins with: it reads drawn pictures, keeps the format, and asks
for the original half of the time, whatever the question.
"""


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "warmup", help="make the tiny policy that training begins with", description=DESCRIPTION
    )
    parser.add_argument(
        "settings", nargs="*", metavar="KEY=VALUE", help="a setting, such as kinds=close"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the checkpoint")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="(default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint in DIR")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make it."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "train", "training") from error
    from agents.tiny import WarmupConfig, warm_up

    if (arguments.out / "config.json").exists() and not arguments.overwrite:
        raise ConfigError(f"{arguments.out} holds a checkpoint; add --overwrite")
    torch.set_num_threads(1)  # a model this small is slower on two, and one gives equal runs
    config = typed(WarmupConfig, overridden(arguments.settings), "warm-up")
    screen = console(stderr=True)

    def told(numbers: Mapping[str, float]) -> None:
        if numbers["step"] % 100 == 0:
            loss = numbers.get("loss", numbers.get("head_loss"))
            screen.print(f"step {numbers['step']:.0f} of {config.total_steps}: loss {loss:.3f}")

    made = warm_up(config, arguments.out, arguments.seed, told)
    console().print(f"loss {made['loss']:.3f}; the model: {arguments.out}", soft_wrap=True)
