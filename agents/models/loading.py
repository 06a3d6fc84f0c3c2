"""Models of the families that are handled, from a folder or the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
)
from transformers.utils import logging
from transformers.utils.import_utils import is_torchvision_available

from agents.models.internvl import InternVL
from agents.models.qwen import GlmV, QwenVL
from agents.models.vlm import VisionLanguageModel
from vt_env.errors import ConfigError
from vt_env.registry import Registry

FAMILIES: Registry[VisionLanguageModel] = Registry(
    "model type",
    "vt.models",
    {name: kind for kind in (QwenVL, GlmV, InternVL) for name in kind.families},
)
"""By model type: those whose positions and picture features are handled, and tested, here. Others,
which mask or position pictures in their own ways, are played through a server, or handled by a
package that adds their class."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars on the terminal."""
    was = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()


def load_vlm(
    path: str | Path, *, dtype: str = "auto", device: str | None = None
) -> VisionLanguageModel:
    """A model from a folder or the Hugging Face Hub.

    Args:
        path: Folder or Hub name.
        dtype: ``"auto"`` (the checkpoint's), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        device: Torch's name for it; a GPU where there is one.

    Raises:
        ConfigError: If it cannot be read, or is of a family that is not handled here.
    """
    processor = load_processor(path)
    try:
        with quiet():
            model = AutoModelForImageTextToText.from_pretrained(
                path, dtype=dtype, attn_implementation="sdpa"
            )
    except OSError as error:
        raise _unreadable(path, error) from error
    model = model.eval()
    torch.nn.Module.to(model, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return type(processor)(model, processor.tokenizer, processor.image_processor)


def load_processor(path: str | Path) -> VisionLanguageModel:
    """A model that can be talked about, but has no weights to run.

    The processor is put together from the tokenizer and the image processor, since
    ``AutoProcessor`` also builds one for videos, which needs torchvision. Without torchvision the
    image processor is the one that uses Pillow.

    Args:
        path: Folder or Hub name of a checkpoint.

    Raises:
        ConfigError: If it cannot be read, or is of a family that is not handled here.
    """
    if _is_path(path) and not Path(path).is_dir():
        raise ConfigError(
            f"there is no folder {str(path)!r}; name a checkpoint's folder, or a model on the "
            "Hub as organisation/name"
        )
    try:
        config = AutoConfig.from_pretrained(path)
        family = cast("type[VisionLanguageModel]", FAMILIES.get(config.model_type))
        shell = SimpleNamespace(config=config, generation_config=_generation(path, config))
        name = "AutoImageProcessor" if is_torchvision_available() else family.pillow_processor
        image_processor = getattr(transformers, name).from_pretrained(path)
        return family(shell, AutoTokenizer.from_pretrained(path), image_processor)
    except ConfigError:
        raise
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _generation(path: str | Path, config: Any) -> GenerationConfig:
    """How the checkpoint generates; the model's own settings where it does not say."""
    try:
        return GenerationConfig.from_pretrained(path)
    except OSError:
        return GenerationConfig.from_model_config(config)


def _is_path(path: str | Path) -> bool:
    """Whether this cannot be a name on the Hub, which is ``model`` or ``owner/model``."""
    text = str(path)
    return isinstance(path, Path) or text.startswith(("/", ".", "~")) or text.count("/") > 1


def _unreadable(path: str | Path, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())
    return ConfigError(f"no model can be read from {str(path)!r}: {reason:.300}")
