"""What TRL reads and writes by: the project's prompts and parser, token for token.

TRL renders prompts and the tool's answers by the processor's chat template, and asks the tokenizer
what a turn says. Both are put in the project's hands here: the checkpoint's own template renders
the environment's messages, and the protocol's grammar reads the turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2_5_VLProcessor
from transformers.processing_utils import ProcessorMixin

from agents.models import VisionLanguageModel
from vt_env.actions import calls
from vt_env.errors import unknown_name
from vt_env.grammars import VISIONTHINK, Grammar

TOOL = "call"
"""TRL's name for what every call goes to; which tool is meant is in the turn."""

_ROLES = """\
{%- set tools = none -%}
{%- set made = namespace(messages=[]) -%}
{%- for message in messages -%}
{%- set role = 'user' if message['role'] == 'tool' else message['role'] -%}
{%- set content = message['content'] -%}
{%- if message['tool_calls'] -%}
{%- set said = '<tool_call>' + (message['tool_calls'][0]['function'] | tojson) + '</tool_call>' -%}
{%- set content = [{'type': 'text', 'text': said}] -%}
{%- endif -%}
{%- set made.messages = made.messages + [{'role': role, 'content': content}] -%}
{%- endfor -%}
{%- set messages = made.messages -%}
"""
"""Goes before a checkpoint's chat template: roles as the environment has them (a tool's answer is a
user's turn), and no declaration of tools, which the environment's own system turn has. A call is
only ever rendered where TRL tries out whether the template can."""

_KEPT = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


class Processor(Qwen2_5_VLProcessor):
    """The processor of Qwen's line without its part for videos, which would need torchvision.

    Args:
        base: The policy's tokenizer and image processor; its tokenizer is changed.
        grammar: How turns are read.

    Raises:
        ConfigError: If the model is of another line.
    """

    def __init__(self, base: VisionLanguageModel, grammar: Grammar = VISIONTHINK) -> None:
        family = base.model.config.model_type
        if family not in _KEPT:
            raise unknown_name("model type for the trainer 'trl'", family, _KEPT)
        tokenizer = base.tokenizer
        self.base = base
        self.grammar = grammar
        self.image_token, self.video_token = "<|image_pad|>", "<|video_pad|>"
        self.image_token_id = base.image_id
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        template = _ROLES + tokenizer.chat_template
        ProcessorMixin.__init__(self, base.image_processor, tokenizer, chat_template=template)
        tokenizer.padding_side = "left"
        tokenizer.response_template = {}  # which says to TRL that turns can be read
        tokenizer.parse_response = self.parse_turn

    @classmethod
    def get_attributes(cls) -> list[str]:
        """What it is made of."""
        return ["image_processor", "tokenizer"]

    def __call__(self, *what: Any, **how: Any) -> Any:
        """Texts and pictures as the model takes them; pictures as tensors, as TRL expects them."""
        made = super().__call__(*what, **how)
        for name, value in made.items():
            if isinstance(value, np.ndarray):
                made[name] = torch.from_numpy(value)
        return made

    def parse_turn(self, ids: Sequence[int], **_: Any) -> dict[str, Any]:
        """A turn as a message; it has a call where the environment has something to say to it.

        Args:
            ids: What was generated, padding left out.
            **_: What stands before it, and the tools.
        """
        text = self.base.chat.opened + self.base.decode(ids)
        message = {"role": "assistant", "content": text, "token_ids": list(ids)}
        if calls(self.grammar.read(text)):
            function = {"name": TOOL, "arguments": {"turn": text}}
            message["tool_calls"] = [{"type": "function", "function": function}]
        return message

    def save_pretrained(self, save_directory: str | Path, *_: Any, **__: Any) -> list[str]:
        """Write tokenizer and image processor as they were found."""
        tokenizer = self.base.tokenizer
        tokenizer.response_template = None
        try:
            tokenizer.save_pretrained(save_directory)
            self.base.image_processor.save_pretrained(save_directory)
        finally:
            tokenizer.response_template = {}
        return []
