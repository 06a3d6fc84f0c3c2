"""The model of a recipe: who plays it, its precision, its evaluation, what a saved folder needs."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from agents import AGENTS, Agent, Episode, rollout
from agents.models import VisionLanguageModel
from agents.transformers import TransformersAgent
from trainers.config import ModelConfig, TrainConfig
from trainers.data import WEIGHTS, task_of
from trainers.files import MANIFEST
from trainers.metrics import Numbers, evaluation_metrics
from trainers.probes import Probing, probe_starts
from vt_env import PictureError
from vt_env.errors import ConfigError
from vt_env.vector import VisionThinkVectorEnv

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def agent_of(
    model: ModelConfig, vlm: VisionLanguageModel, *, temperature: float, max_new_tokens: int
) -> TransformersAgent:
    """The agent that plays a model.

    Raises:
        ConfigError: If the agent of that name is no model here, so has no tokens to learn from.
    """
    agent: Agent = AGENTS.make(
        model.agent, vlm, temperature=temperature, max_new_tokens=max_new_tokens
    )
    if not isinstance(agent, TransformersAgent):
        raise ConfigError(
            f"the agent {model.agent!r} does not keep the tokens that training needs; "
            "use one that is a model here, such as 'transformers'"
        )
    agent.stop = False  # the policy learns to end its turns itself
    return agent


def precision(config: ModelConfig, device: torch.device) -> AbstractContextManager[object]:
    """Run forward passes in a recipe's dtype."""
    dtype = _DTYPES[config.dtype]
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def complete(model: Path, source: str) -> None:
    """Add to a saved model what it lacks of its source: all but weights and seal.

    Args:
        model: Where weights were saved.
        source: The checkpoint that the run began with: a folder, or a name on the Hub, of which
            the processor is saved.
    """
    if not Path(source).is_dir():
        if not (model / "preprocessor_config.json").exists():
            AutoProcessor.from_pretrained(source).save_pretrained(model)
        return
    for path in Path(source).iterdir():
        known = (model / path.name).exists() or path.name.endswith((*WEIGHTS, MANIFEST))
        if path.is_file() and not known:
            shutil.copyfile(path, model / path.name)


def parameters_of(path: str) -> int:
    """How many parameters the model of a checkpoint has; no weights are read."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(path))
    return sum(parameter.numel() for parameter in model.parameters())


class Validation:
    """Measures a model, always on the same samples."""

    def __init__(self, config: TrainConfig, vlm: VisionLanguageModel) -> None:
        self.model = config.model
        self.vlm = vlm
        self.task = task_of(config.data.validation or "", config.environment)
        self.model_agent = agent_of(
            config.model, vlm, temperature=0.0, max_new_tokens=config.rollout.max_new_tokens
        )
        starts = probe_starts(config, self.task.protocol) if config.rollout.arm else ()
        self.agent = Probing(self.model_agent, 1, starts[:1])
        limit, size = config.evaluation.limit, len(self.task.source)
        self.ids = list(self.task.source.ids()[: min(limit, size) if limit else size])
        self.batch = min(config.evaluation.batch, len(self.ids))
        self.examples = config.tracking.episodes
        self.env = VisionThinkVectorEnv(self.batch, group_size=1, data=self.task)

    def run(self) -> tuple[Numbers, list[Episode]]:
        """Numbers in the family ``eval``, and some of the episodes."""
        episodes: list[Episode] = []
        refused = 0
        for begin in range(0, len(self.ids), self.batch):
            left = self.ids[begin : begin + self.batch]
            while left:
                try:
                    with torch.no_grad(), precision(self.model, self.vlm.device):
                        episodes += rollout(self.env, self.agent, sample_ids=left)
                    break
                except PictureError as error:
                    if error.sample_id not in left:
                        raise
                    left = [sample_id for sample_id in left if sample_id != error.sample_id]
                    refused += 1
                finally:
                    self.model_agent.forget()
        return {
            **evaluation_metrics(episodes),
            "eval/n": len(episodes),
            "eval/refused": refused,
        }, episodes[: self.examples]
