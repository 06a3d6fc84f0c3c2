"""A Qwen2.5-VL of small sizes: made from nothing, and written as a checkpoint.

The classes are those of ``transformers``; only the sizes are ours. Heads have 32 dimensions, the
least that vLLM's attention takes on a CPU, and all vision layers see the whole picture.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
)

from agents.models.loading import quiet
from agents.models.qwen import QwenVL
from agents.models.vlm import VisionLanguageModel
from agents.tiny.tokenizer import (
    IMAGE,
    IMAGE_END,
    IMAGE_START,
    PAD,
    TURN_END,
    VIDEO,
    make_tokenizer,
)
from vt_env.errors import ConfigError, unknown_name
from vt_env.tokens import FAMILIES

HEAD = 32


@dataclass(frozen=True, slots=True)
class TinyConfig:
    """Sizes of a model; the defaults are the tiny policy's, of a quarter of a million parameters.

    Attributes:
        width: Of both transformers' hidden states; a multiple of 32, the size of a head.
        layers: Of the language model.
        vision_layers: Of the vision model.
        scale: Standard deviation of the first weights. Transformers' 0.02 is for wider models.
        patch_scale: Likewise, of the patch embedding's; 0 leaves it to the class.
        inner: Width inside a layer, over ``width``.
        tied: Whether words have one embedding to be read and to be said.
        family: Whose patches and bounds, in :data:`vt_env.tokens.FAMILIES`.
        deviation: By which the image processor divides what is left of a channel less its mean.

    Raises:
        ConfigError: On a value out of range.
    """

    width: int = 64
    layers: int = 2
    vision_layers: int = 2
    scale: float = 0.07
    patch_scale: float = 0.0
    inner: int = 2
    tied: bool = True
    family: str = "tiny"
    deviation: float = 0.5

    def __post_init__(self) -> None:
        if self.width < HEAD or self.width % HEAD:
            raise ConfigError(f"width must be a multiple of {HEAD}, got {self.width}")
        if min(self.layers, self.vision_layers) < 1:
            raise ConfigError("both transformers need at least one layer")
        if self.inner < 1:
            raise ConfigError(f"inner must be at least 1, got {self.inner}")
        if not (0 < self.deviation < math.inf and 0 <= self.scale < math.inf):
            raise ConfigError(
                f"deviation must be above 0 and scale at least 0, got {self.deviation} and "
                f"{self.scale}"
            )
        if not 0 <= self.patch_scale < math.inf:
            raise ConfigError(f"patch_scale must be at least 0, got {self.patch_scale}")
        if self.family not in FAMILIES:
            raise unknown_name("family", self.family, FAMILIES)


def model_config(tokenizer: PreTrainedTokenizerFast, config: TinyConfig) -> Qwen2_5_VLConfig:
    """The sizes, as transformers takes them."""
    ids = tokenizer.get_vocab()
    family = FAMILIES[config.family]
    both = {
        "hidden_size": config.width,
        "intermediate_size": config.inner * config.width,
        "initializer_range": config.scale,
    }
    text = {
        **both,
        "vocab_size": len(tokenizer),
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.width // HEAD,
        "num_key_value_heads": config.width // HEAD,
        "max_position_embeddings": tokenizer.model_max_length,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "mrope_section": [4, 6, 6],  # time, height, width: half a head
        },
        "bos_token_id": None,
        "eos_token_id": ids[TURN_END],
        "pad_token_id": ids[PAD],
        "tie_word_embeddings": config.tied,
    }
    vision = {
        **both,
        "depth": config.vision_layers,
        "num_heads": config.width // HEAD,
        "out_hidden_size": config.width,
        "patch_size": family.patch,
        "spatial_merge_size": family.merge,
        "temporal_patch_size": 2,
        "window_size": 4 * family.factor,
        "fullatt_block_indexes": list(range(config.vision_layers)),
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[IMAGE_START],
        vision_end_token_id=ids[IMAGE_END],
        tie_word_embeddings=config.tied,
        dtype="float32",
    )


def make_vlm(
    config: TinyConfig | None = None,
    seed: int = 0,
    tokenizer: PreTrainedTokenizerFast | None = None,
) -> QwenVL:
    """An untrained model, ready to be used. Torch's global generator is left as it was."""
    config, tokenizer = config or TinyConfig(), tokenizer or make_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(model_config(tokenizer, config))
        if config.patch_scale:
            patches = model.model.visual.patch_embed.proj.weight
            torch.nn.init.normal_(patches, std=config.patch_scale)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    family = FAMILIES[config.family]
    images = Qwen2VLImageProcessorPil(
        patch_size=family.patch,
        merge_size=family.merge,
        temporal_patch_size=2,
        size={"shortest_edge": family.min_pixels, "longest_edge": family.max_pixels},
        image_mean=[0.5] * 3,
        image_std=[config.deviation] * 3,
    )
    return QwenVL(model.eval(), tokenizer, images)


def save(vlm: VisionLanguageModel, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
    """Write a checkpoint that transformers loads: model, tokenizer, and a processor.

    The processor's files are written as text, since making a processor needs torchvision, for
    videos. With torchvision ``AutoProcessor`` reads them; without, ``AutoImageProcessor`` does.

    Args:
        vlm: The model, which stays as it is.
        folder: Where to.
        dtype: Of the weights in the file; the model's if left out. They are computed with in the
            model's, in which they are loaded again.
    """
    folder = Path(folder)
    weights = None
    if dtype is not None:
        weights = {name: tensor.to(dtype) for name, tensor in vlm.model.state_dict().items()}
    with quiet():
        vlm.model.save_pretrained(folder, state_dict=weights)
    vlm.tokenizer.save_pretrained(folder)
    for file, key, kind in (
        ("preprocessor_config.json", "image_processor_type", "Qwen2VLImageProcessor"),
        ("video_preprocessor_config.json", "video_processor_type", "Qwen2VLVideoProcessor"),
    ):
        content = {"processor_class": "Qwen2_5_VLProcessor", key: kind, **_images(vlm)}
        (folder / file).write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    return folder


def _images(vlm: VisionLanguageModel) -> dict[str, Any]:
    """Settings of the image processor, and of the one for videos."""
    images = vlm.image_processor
    return {
        "patch_size": images.patch_size,
        "merge_size": images.merge_size,
        "temporal_patch_size": images.temporal_patch_size,
        "size": {edge: images.size[edge] for edge in ("shortest_edge", "longest_edge")},
        "image_mean": list(images.image_mean),
        "image_std": list(images.image_std),
    }
