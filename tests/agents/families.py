"""Tiny random models of each family, with a tokenizer that loses nothing and the family's template.

The templates are those of the released checkpoints, without what a conversation here does not use.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForImageTextToText,
    GenerationConfig,
    Glm4vConfig,
    Glm4vImageProcessorPil,
    Glm46VConfig,
    GotOcr2ImageProcessorPil,
    InternVLConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2VLConfig,
    Qwen2VLImageProcessorPil,
    Qwen3_5Config,
    Qwen3VLConfig,
)

from agents.models.loading import FAMILIES, quiet
from agents.models.vlm import VisionLanguageModel

_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")
_INTERNVL = ("<img>", "</img>", "<IMG_CONTEXT>")
_GLM = ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|image|>", "<|video|>")
_GLM = (*_GLM, "<|begin_of_image|>", "<|end_of_image|>")
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *_QWEN, *_INTERNVL)

_TURNS = """\
{%- for message in messages -%}FIRST{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}{{- message['content'] -}}
{%- else -%}{%- for block in message['content'] -%}
{%- if block['type'] == 'image' -%}{{- 'IMAGE' -}}
{%- elif 'text' in block -%}{{- block['text'] -}}{%- endif -%}
{%- endfor -%}{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"""
_DEFAULT_SYSTEM = (
    "{%- if loop.first and message['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}{%- endif -%}"
)
_LAST_THINKS = (
    "{%- if loop.last and message['role'] == 'assistant' -%}"
    "{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}"
)
_QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_GLM_TURNS = (
    _TURNS.replace("FIRST", "{%- if loop.first -%}{{- '[gMASK]<sop>' -}}{%- endif -%}")
    .replace("'<|im_start|>' + message['role'] + '\\n'", "'<|' + message['role'] + '|>\\n'")
    .replace("IMAGE", "<|begin_of_image|><|image|><|end_of_image|>")
    .replace("{{- '<|im_end|>\\n' -}}\n", "")
    .replace("<|im_start|>assistant\\n", "<|assistant|>\\n")
)
TEMPLATES = {
    "qwen2_vl": _TURNS.replace("FIRST", _DEFAULT_SYSTEM).replace("IMAGE", _QWEN_IMAGE),
    "qwen2_5_vl": _TURNS.replace("FIRST", _DEFAULT_SYSTEM).replace("IMAGE", _QWEN_IMAGE),
    "qwen3_vl": _TURNS.replace("FIRST", "").replace("IMAGE", _QWEN_IMAGE),
    "qwen3_5": _TURNS.replace("FIRST", "")
    .replace("IMAGE", _QWEN_IMAGE)
    .replace("assistant\\n", "assistant\\n<think>\\n")
    .replace("message['role'] + '\\n' -}}", "message['role'] + '\\n' -}}" + _LAST_THINKS),
    "internvl": _TURNS.replace("FIRST", "").replace("IMAGE", "<IMG_CONTEXT>\\n"),
    "glm4v": _GLM_TURNS,
    "glm46v": _GLM_TURNS,
}
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_MROPE = {**_ROPE, "mrope_section": [4, 6, 6]}
_VISION = {
    "depth": 3,
    "hidden_size": 64,
    "num_heads": 2,
    "patch_size": 4,
    "spatial_merge_size": 2,
    "initializer_range": 0.2,
}


def picture(width: int, height: int) -> np.ndarray:
    """Random pixels: uint8 [H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ends_with(family: str) -> str:
    """How a turn ends; in GLM-V's by the mark that begins the user's."""
    return "<|user|>" if family.startswith("glm") else "<|im_end|>"


def tokenizer(family: str) -> PreTrainedTokenizerFast:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", *_GLM] if family.startswith("glm") else [*_SPECIAL]
    made.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=ends_with(family),
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATES[family]
    return fast


def make(family: str) -> VisionLanguageModel:
    """An untrained model."""
    words = tokenizer(family)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(
            _config(family, words), attn_implementation="sdpa", dtype=torch.float32
        )
    stop, pad = words.convert_tokens_to_ids(ends_with(family)), words.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=stop, pad_token_id=pad)
    return FAMILIES.make(family, model.eval(), words, _image_processor(family))


def save(vlm: VisionLanguageModel, folder: Path) -> Path:
    """A checkpoint."""
    with quiet():
        vlm.model.save_pretrained(folder)
    vlm.tokenizer.save_pretrained(folder)
    images = vlm.image_processor.to_dict()
    images["image_processor_type"] = images["image_processor_type"].removesuffix("Pil")
    (folder / "preprocessor_config.json").write_text(json.dumps(images))
    return folder


def _image_processor(family: str) -> Any:
    if family == "internvl":
        return GotOcr2ImageProcessorPil(size={"height": 16, "width": 16})
    kind = Glm4vImageProcessorPil if family.startswith("glm") else Qwen2VLImageProcessorPil
    return kind(
        patch_size=4,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": 64, "longest_edge": 65_536},
    )


def _config(family: str, words: PreTrainedTokenizerFast) -> Any:
    ids = words.get_vocab()
    text = {
        "vocab_size": len(words),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "rope_parameters": _MROPE,
        "bos_token_id": None,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }
    if family == "internvl":
        text |= {"model_type": "qwen2", "rope_parameters": _ROPE}
        vision = {
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "image_size": (16, 16),
            "patch_size": (4, 4),
            "initializer_range": 0.2,
        }
        return InternVLConfig(
            text_config=text,
            vision_config=vision,
            image_token_id=ids["<IMG_CONTEXT>"],
            image_seq_length=4,
        )
    if family.startswith("glm"):
        marks = {
            "image_token_id": ids["<|image|>"],
            "video_token_id": ids["<|video|>"],
            "image_start_token_id": ids["<|begin_of_image|>"],
            "image_end_token_id": ids["<|end_of_image|>"],
            "video_start_token_id": ids["<|begin_of_image|>"],
            "video_end_token_id": ids["<|end_of_image|>"],
        }
        text |= {"model_type": "glm4v_text"}
        vision = {**_VISION, "intermediate_size": 128, "out_hidden_size": 64, "image_size": 32}
        kind = Glm4vConfig if family == "glm4v" else Glm46VConfig
        if family == "glm46v":
            vision["model_type"] = "glm4v_vision"
        return kind(text_config=text, vision_config=vision, **marks)
    marks = {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }
    if family == "qwen2_vl":
        vision = {**_VISION, "embed_dim": 64, "mlp_ratio": 2}
        return Qwen2VLConfig(text_config=text, vision_config=vision, **marks)
    vision = {**_VISION, "intermediate_size": 128, "out_hidden_size": 64}
    if family == "qwen2_5_vl":
        vision |= {"window_size": 32, "fullatt_block_indexes": [0, 1, 2]}
        return Qwen2_5_VLConfig(text_config=text, vision_config=vision, **marks)
    text["rope_parameters"] = {**_MROPE, "mrope_interleaved": True}
    vision |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    if family == "qwen3_5":
        del vision["deepstack_visual_indexes"]
        heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
        sizes = {"linear_key_head_dim": 16, "linear_value_head_dim": 16}
        kinds = {"layer_types": ["linear_attention", "full_attention"]}
        return Qwen3_5Config(
            text_config={**text, **heads, **sizes, **kinds}, vision_config=vision, **marks
        )
    return Qwen3VLConfig(text_config=text, vision_config=vision, **marks)
