"""The other families that are handled: what is cached is what their own forward pass computes."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    GenerationConfig,
    Qwen2VLConfig,
    Qwen3VLConfig,
)

from agents.models import VisionLanguageModel, collate, score
from agents.models.qwen import QwenVL
from agents.tiny import TinyAgent
from tiny.games import log_probs, two_turns, uncached

ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 6, 6]}
VISION = {"depth": 3, "hidden_size": 64, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2}


def other(vlm: VisionLanguageModel, family: str) -> VisionLanguageModel:
    """A random model of another family, with the tiny tokenizer and image processor."""
    known = vlm.model.config
    text = {**known.text_config.to_dict(), "rope_parameters": ROPE, "head_dim": 32}
    text.pop("model_type")
    marks = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {mark: getattr(known, mark) for mark in marks}
    if family == "qwen2_vl":
        vision = {**VISION, "embed_dim": 64, "hidden_size": 64, "mlp_ratio": 2}
        config = Qwen2VLConfig(text_config=text, vision_config=vision, **ids)
    else:
        text["rope_parameters"] = {**ROPE, "mrope_interleaved": True}
        vision = {
            **VISION,
            "out_hidden_size": 64,
            "intermediate_size": 128,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.07,
        }
        config = Qwen3VLConfig(text_config=text, vision_config=vision, **ids)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa")
    stop, pad = vlm.tokenizer.eos_token_id, vlm.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=stop, pad_token_id=pad)
    return QwenVL(model.eval(), vlm.tokenizer, vlm.image_processor)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_cached_turns_have_the_probabilities_of_one_uncached_pass(
    vlm: VisionLanguageModel, family: str
) -> None:
    model = other(vlm, family)
    assert model.model.config.model_type == family
    played = two_turns(TinyAgent(model, temperature=1.0))
    for episode in played:
        np.testing.assert_allclose(log_probs(episode), uncached(model, episode, 1.0), atol=2e-5)
    batch = collate(model, played)
    torch.testing.assert_close(
        score(model, batch).log_probs, batch.old_log_probs, atol=2e-5, rtol=0
    )
