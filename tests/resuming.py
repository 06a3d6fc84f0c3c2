"""A run of a trainer that works in its own process, to be begun or gone on with."""

from __future__ import annotations

from pathlib import Path

import torch

from experiments.recipe import load_recipe
from trainers import make_trainer


def resume(out: str) -> None:
    """What ``vt train --resume`` makes of a folder, by the recipe that lies beside it."""
    torch.set_num_threads(1)
    config = load_recipe(Path(out).parent / "recipe.toml")
    make_trainer(config.trainer).train(config, Path(out), resume=True)
