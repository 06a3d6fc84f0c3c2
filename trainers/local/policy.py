"""The model that is trained, with what it is compared with and what is saved of it.

Weights are float32; forward passes run under autocast where the recipe says ``bfloat16``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agents.models import Scores, TokenBatch, VisionLanguageModel, load_vlm, score
from agents.models.loading import quiet
from agents.models.vlm import Features
from trainers.config import ModelConfig
from trainers.models import complete, precision
from vt_env.errors import ConfigError, MissingExtra
from vt_env.pictures import View


class Policy:
    """The model being trained.

    Attributes:
        vlm: The model that plays and learns.
        reference: What the KL is measured against: the model as it was at the beginning. With
            adapters it is the model without them, else a second one.
        critic: A linear layer from the hidden state before a token to a value, if there is one.

    Args:
        config: The model's part of a recipe.
        weights: Folder of a checkpoint's model to go on from; ``None`` is the beginning. With
            adapters the model is the recipe's own, and the adapters are part of the state.
        reference: Whether a reference is needed.
        critic: Whether a critic is needed.
    """

    def __init__(
        self, config: ModelConfig, weights: Path | None, *, reference: bool, critic: bool
    ) -> None:
        self.config = config
        self.vlm = _load(config, weights if weights and not config.lora_rank else config.path)
        if config.freeze_vision:
            self.vlm.model.model.visual.requires_grad_(False)
        self.adapters = None
        if config.lora_rank:
            self.vlm.model.requires_grad_(False)
            self.adapters = Adapters(self.vlm.model, config)
        self.reference = None
        if reference:
            self.reference = self.vlm if self.adapters else _load(config, config.path)
        if self.reference is not None and self.reference is not self.vlm:
            self.reference.model.requires_grad_(False)
        self.critic = None
        if critic:
            width = self.vlm.model.config.get_text_config().hidden_size
            self.critic = nn.Linear(width, 1, device=self.vlm.device)
            nn.init.zeros_(self.critic.weight)
            nn.init.zeros_(self.critic.bias)

    def parameters(self) -> list[nn.Parameter]:
        """What is trained, in a fixed order."""
        modules: list[nn.Module] = [self.vlm.model, *([self.critic] if self.critic else [])]
        return [p for module in modules for p in module.parameters() if p.requires_grad]

    def saved_bytes(self) -> int:
        """About how large a checkpoint is: the weights, and two moments of what is trained."""
        weights = sum(p.nbytes for p in self.vlm.model.parameters())
        return weights + 2 * sum(p.nbytes for p in self.parameters())

    @property
    def vision_is_trained(self) -> bool:
        """Whether features of a view change while training."""
        return any(p.requires_grad for p in self.vlm.model.model.visual.parameters())

    def precision(self) -> AbstractContextManager[object]:
        """Run forward passes in the recipe's dtype."""
        return precision(self.config, self.vlm.device)

    def score(
        self, batch: TokenBatch, temperature: float, features: Features | None = None
    ) -> tuple[Scores, Tensor | None]:
        """What the policy makes of generated tokens, and the critic of the states before them."""
        with self.precision():
            scores = score(self.vlm, batch, temperature=temperature, features=features)
            values = None
            if self.critic is not None:
                values = self.critic(scores.hidden.float()).squeeze(-1).float()
        return scores, values

    @torch.no_grad()
    def reference_log_probs(
        self, batch: TokenBatch, temperature: float, features: Features | None = None
    ) -> Tensor | None:
        """Log-probabilities under the reference, float32 [episodes, tokens].

        Args:
            batch: From :func:`agents.models.collate`.
            temperature: Of sampling.
            features: Of a frozen vision tower, which the reference shares.
        """
        if self.reference is None:
            return None
        without = self.adapters.off() if self.adapters else contextlib.nullcontext()
        with self.precision(), without:
            scores = score(self.reference, batch, temperature=temperature, features=features)
        return scores.log_probs

    def state(self) -> dict[str, Any]:
        """What is trained and is not in the saved model."""
        return {
            "critic": self.critic.state_dict() if self.critic else None,
            "adapters": self.adapters.state() if self.adapters else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
        if self.adapters is not None:
            self.adapters.load_state(state["adapters"])

    def save(self, folder: Path) -> None:
        """Write a folder that loads in stock transformers, with tokenizer and processor."""
        merged = self.adapters.merged() if self.adapters else None
        with quiet():
            self.vlm.model.save_pretrained(folder, state_dict=merged)
        if not Path(self.config.path).is_dir():
            self.vlm.tokenizer.save_pretrained(folder)
            self.vlm.image_processor.save_pretrained(folder)
            return
        complete(folder, self.config.path)


def _load(config: ModelConfig, path: str | Path) -> VisionLanguageModel:
    device = None if config.device == "auto" else config.device
    return load_vlm(path, dtype="float32", device=device)


class SharedFeatures:
    """Features of a frozen vision tower, each view encoded once for a whole step.

    Args:
        policy: Whose vision tower is frozen.
        views: All views of the step.
        batch: Views encoded at once.
    """

    def __init__(self, policy: Policy, views: Sequence[View], batch: int = 256) -> None:
        distinct = list({id(view): view for view in views}.values())
        self._places = {id(view): place for place, view in enumerate(distinct)}
        with torch.no_grad(), policy.precision():
            parts = [
                policy.vlm.features(distinct[begin : begin + batch])
                for begin in range(0, len(distinct), batch)
            ]
        starts = [0]
        for part in parts:
            base = starts[-1]
            starts += [base + start for start in part.starts[1:]]
        self._all = Features(torch.cat([part.values for part in parts]), starts)

    def of(self, views: Sequence[View]) -> Features:
        """The features of some of the views."""
        places = [self._places[id(view)] for view in views]
        starts = [0]
        for place in places:
            starts.append(starts[-1] + self._all.starts[place + 1] - self._all.starts[place])
        return Features(self._all.gather(places), starts)


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
