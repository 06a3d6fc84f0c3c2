"""A model without its weights: its words, its sizes of pictures, what it may not say."""

from __future__ import annotations

from types import SimpleNamespace

from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, GenerationConfig

from agents.models import VisionLanguageModel
from vt_env.errors import ConfigError, unknown_name


def load_words(path: str) -> VisionLanguageModel:
    """A model that can be talked about, but has no weights to run.

    Args:
        path: Folder or Hub name of a checkpoint.

    Raises:
        ConfigError: If it cannot be read, or is of a family that is not handled.
    """
    try:
        shell = SimpleNamespace(
            config=AutoConfig.from_pretrained(path),
            generation_config=GenerationConfig.from_pretrained(path),
        )
        tokenizer = AutoTokenizer.from_pretrained(path)
        return VisionLanguageModel(shell, tokenizer, AutoImageProcessor.from_pretrained(path))
    except OSError as error:
        raise ConfigError(f"no model can be read from {path!r}: {error}") from error


def beginnings(agent: str) -> dict[str, str]:
    """The beginnings of a turn that decide it, in the words of an agent.

    Raises:
        ConfigError: If the agent of that name is no model here.
    """
    from agents import AGENTS
    from agents.transformers import TransformersAgent

    kind = AGENTS.get(agent)
    if not isinstance(kind, type) or not issubclass(kind, TransformersAgent):
        raise unknown_name("agent that is a model", agent, ("transformers", "tiny"))
    return dict(kind.prefixes)
