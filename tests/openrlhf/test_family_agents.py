"""Families with their own processors and engines: they read what the agents here read."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.openrlhf
pytest.importorskip("torchvision", reason="needs `make test-openrlhf`")
pytest.importorskip("vllm", reason="needs `make test-openrlhf`")
sys.path.append(str(Path(__file__).parents[1] / "agents"))

import transformers  # noqa: E402
from families import make, picture, save  # noqa: E402

from agents import Conversation, closing, make_agent  # noqa: E402
from agents.base import request_turn  # noqa: E402
from agents.models import VisionLanguageModel  # noqa: E402
from agents.transformers import TransformersAgent  # noqa: E402
from vt_env import Picture, Sample  # noqa: E402
from vt_env.dialogue import Dialogue  # noqa: E402
from vt_env.protocol import make_protocol  # noqa: E402

SIZES = [(64, 48), (96, 32), (40, 40), (130, 70)]
_QWEN_IMAGES = {
    "patch_size": 4,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "size": {"shortest_edge": 64, "longest_edge": 65_536},
}


def asked(size: tuple[int, int]) -> Dialogue:
    """A conversation in which the original was asked for and is shown."""
    sample = Sample("s", "What is it?", ("one",), picture(*size))
    dialogue = Dialogue(make_protocol(), sample, Picture(sample.image))
    dialogue.apply(request_turn("Too small."))
    return dialogue


def conversation(dialogue: Dialogue) -> Conversation:
    made = Conversation.of(dialogue, np.random.default_rng(0))
    return replace(made, written=dialogue.turn)  # the agent said none of them


def processor_of(vlm: VisionLanguageModel) -> Any:
    """The family's own processor, with the tokens that a released tokenizer names."""
    words, family = vlm.tokenizer, vlm.model.config.model_type
    if family == "internvl":
        marks = ("start_image_token", "end_image_token", "context_image_token", "video_token")
        names = ("<img>", "</img>", "<IMG_CONTEXT>", "<|video_pad|>")
        for mark, name in zip(marks, names, strict=True):
            setattr(words, mark, name)
            setattr(words, f"{mark}_id", words.convert_tokens_to_ids(name))
        size = {"height": 16, "width": 16}
        images = transformers.GotOcr2ImageProcessor(size=size)
        videos = transformers.InternVLVideoProcessor(size=size)
        return transformers.InternVLProcessor(
            images, words, videos, image_seq_length=4, chat_template=words.chat_template
        )
    words.image_token, words.video_token = "<|image_pad|>", "<|video_pad|>"
    kind, videos = {
        "qwen2_5_vl": (transformers.Qwen2_5_VLProcessor, transformers.Qwen2VLVideoProcessor),
        "qwen3_vl": (transformers.Qwen3VLProcessor, transformers.Qwen3VLVideoProcessor),
    }[family]
    images = transformers.Qwen2VLImageProcessor(**_QWEN_IMAGES)
    return kind(images, words, videos(), chat_template=words.chat_template)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_prompts_are_those_of_the_familys_own_processor(family):
    vlm = make(family)
    processor = processor_of(vlm)
    for size in SIZES:
        dialogue = asked(size)
        reply = TransformersAgent(vlm, max_new_tokens=1).act([conversation(dialogue)])[0]
        text = processor.apply_chat_template(
            dialogue.messages, tokenize=False, add_generation_prompt=True
        )
        images = [view.image for view in dialogue.views]
        theirs = processor(text=[text], images=images, return_tensors="pt")["input_ids"][0]
        assert theirs.tolist() == list(reply.prompt_ids)


def checkpoint(folder: Path) -> tuple[VisionLanguageModel, Path]:
    """A tiny Qwen3-VL with all that vLLM looks for."""
    vlm = make("qwen3_vl")
    vlm.tokenizer.init_kwargs |= {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    save(vlm, folder)
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["architectures"] = ["Qwen3ForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    for file, kind in (("preprocessor_config", "Image"), ("video_preprocessor_config", "Video")):
        name = "Qwen2VLImageProcessor" if kind == "Image" else "Qwen3VLVideoProcessor"
        key = f"{kind.lower()}_processor_type"
        content = {**_QWEN_IMAGES, key: name, "processor_class": "Qwen3VLProcessor"}
        (folder / f"{file}.json").write_text(json.dumps(content))
    return vlm, folder


@pytest.mark.slow
def test_qwen3_vl_in_vllm_reads_and_says_what_transformers_does(tmp_path):
    """vLLM's own vision encoder rounds otherwise: up to 0.006 nats a token here."""
    vlm, folder = checkpoint(tmp_path / "model")
    conversations = [conversation(asked(size)) for size in SIZES]
    ours = TransformersAgent(vlm, max_new_tokens=12).act(conversations)
    spec = f"vllm:{folder},max_new_tokens=12,eager=true,max_model_len=2048"
    with closing(make_agent(spec)) as agent:
        theirs = agent.act(conversations)
    assert [reply.prompt_ids for reply in theirs] == [reply.prompt_ids for reply in ours]
    for mine, other in zip(ours, theirs, strict=True):
        same = [a == b for a, b in zip(mine.token_ids, other.token_ids, strict=False)]
        agreed = same.index(False) if False in same else len(same)
        assert agreed >= 6
        np.testing.assert_allclose(mine.log_probs[:agreed], other.log_probs[:agreed], atol=0.02)
