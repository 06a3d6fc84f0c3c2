"""The model that is trained, with what it is compared with and what is saved of it.

Weights are float32; forward passes run under autocast where the recipe says ``bfloat16``.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agents.models import Scores, TokenBatch, VisionLanguageModel, load_vlm, score
from agents.models.loading import quiet
from agents.models.vlm import Features
from trainers.config import ModelConfig
from trainers.data import WEIGHTS
from trainers.local.lora import Adapters
from vt_env.errors import ConfigError
from vt_env.pictures import View

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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

    @property
    def vision_is_trained(self) -> bool:
        """Whether features of a view change while training."""
        return any(p.requires_grad for p in self.vlm.model.model.visual.parameters())

    @contextmanager
    def precision(self) -> Iterator[None]:
        """Run forward passes in the recipe's dtype."""
        with precision(self.config, self.vlm.device):
            yield

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
        source = Path(self.config.path)
        if not source.is_dir():
            self.vlm.tokenizer.save_pretrained(folder)
            self.vlm.image_processor.save_pretrained(folder)
            return
        complete(folder, source)


@contextmanager
def precision(config: ModelConfig, device: torch.device) -> Iterator[None]:
    """Run forward passes in a recipe's dtype."""
    dtype = _DTYPES[config.dtype]
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        yield


def complete(model: Path, source: Path) -> None:
    """Add what a saved model lacks of the folder that it came from: all but weights."""
    for path in source.iterdir():
        known = (model / path.name).exists() or path.name.endswith(WEIGHTS)
        if path.is_file() and not known:
            shutil.copyfile(path, model / path.name)


def _load(config: ModelConfig, path: str | Path) -> VisionLanguageModel:
    """A model; what looks like a folder is not looked for on the Hub."""
    if str(path).startswith((".", "/", "~")) and not Path(path).is_dir():
        raise ConfigError(f"model.path: there is no folder {path}; name a checkpoint's folder")
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
