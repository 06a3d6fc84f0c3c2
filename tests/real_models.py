"""Released checkpoints without their weights: configurations, parameters, shapes."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from trainers.preflight.sizes import Shape

MODELS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("real_models.toml").read_text("utf-8")
)


def config_of(name: str, layers: int | None = None, blocks: int | None = None) -> Any:
    """A checkpoint's configuration in transformers.

    Args:
        name: On the Hub.
        layers: Of the language model; all by default.
        blocks: Of the vision tower; all by default.
    """
    known = {k: v for k, v in MODELS[name].items() if k not in ("model_type", "pictures")}
    text, vision = dict(known["text_config"]), dict(known["vision_config"])
    text["num_hidden_layers"] = layers or text["num_hidden_layers"]
    vision["depth"] = blocks or vision["depth"]
    for places in ("fullatt_block_indexes", "deepstack_visual_indexes"):
        if blocks and places in vision:  # the last ones that are left
            count = min(len(vision[places]), blocks)
            vision[places] = list(range(blocks - count, blocks))
    known |= {"text_config": text, "vision_config": vision}
    return AutoConfig.for_model(MODELS[name]["model_type"], **known)


@cache
def shape_of(name: str) -> Shape:
    """A checkpoint's shape, its parameters counted without giving them memory."""
    config = config_of(name)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    model.tie_weights()
    return Shape.of(config, sum(p.numel() for p in model.parameters()))
