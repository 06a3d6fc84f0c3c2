"""Low-rank adapters (arXiv 2106.09685) in the language model, through the package peft."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config import ModelConfig
from vt_env.errors import ConfigError, MissingExtra

_NAME = "default"


class Adapters:
    """Adapters that are put into a model's linear layers.

    Args:
        model: A model of transformers; it is changed in place.
        config: Rank, scale and layers.

    Raises:
        MissingExtra: If peft is not installed.
        ConfigError: If no layer of the language model has one of the names.
    """

    def __init__(self, model: nn.Module, config: ModelConfig) -> None:
        try:
            import peft
            from peft.tuners.lora import LoraLayer
        except ImportError as error:
            raise MissingExtra("peft", "lora", "training low-rank adapters") from error
        names = [
            name
            for name, module in model.named_modules()
            if isinstance(module, nn.Linear)
            and "language_model" in name.split(".")
            and name.rpartition(".")[2] in config.lora_targets
        ]
        if not names:
            raise ConfigError(
                f"no linear layer of the language model is named {' or '.join(config.lora_targets)}"
            )
        settings = peft.LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, target_modules=names
        )
        peft.inject_adapter_in_model(settings, model, adapter_name=_NAME)
        self.model = model
        self.layers: dict[str, Any] = {
            name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)
        }

    @contextmanager
    def off(self) -> Iterator[None]:
        """The model as it was."""
        self._enable(False)
        try:
            yield
        finally:
            self._enable(True)

    def _enable(self, on: bool) -> None:
        for layer in self.layers.values():
            layer._disable_adapters = not on

    def state(self) -> dict[str, Tensor]:
        """The adapters' weights."""
        return {k: v for k, v in self.model.state_dict().items() if ".lora_" in k}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Put the adapters' weights back."""
        self.model.load_state_dict(state, strict=False)

    @torch.no_grad()
    def merged(self) -> dict[str, Tensor]:
        """All weights of the plain model, the adapters added to theirs; nothing is changed."""
        made: dict[str, Tensor] = {}
        for name, tensor in self.model.state_dict().items():
            if ".lora_" in name:
                continue
            layer, _, kind = name.partition(".base_layer.")
            if layer in self.layers and kind == "weight":
                tensor = tensor + self.layers[layer].get_delta_weight(_NAME).to(tensor.dtype)
            made[f"{layer}.{kind}" if kind else name] = tensor
        return made
