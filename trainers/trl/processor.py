"""What TRL reads and writes by: the project's prompts and parser, token for token.

TRL renders prompts and the tool's answers by the processor's chat template, and asks the tokenizer
what a turn says. Both are put in the project's hands here: the checkpoint's own template renders
the environment's messages, and the environment takes the turns as they are read, so that TRL asks
for another one only where the rollout goes on.

TRL cuts what follows a turn out of two renderings, of which the first must begin the second.
Qwen3.5's template writes a turn otherwise once another follows, and GLM-V has no mark for the end
of a turn but the one that begins the user's, which TRL would put there twice. So it is given the
stretch that the project's own agents read (:meth:`agents.models.chat.Chat.continuation`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2_5_VLProcessor
from transformers.processing_utils import ProcessorMixin

from agents.models import VisionLanguageModel
from agents.models.qwen import GlmV, QwenVL
from trainers.trl.environment import VisionThink
from vt_env.errors import unknown_name

TOOL = "call"
"""TRL's name for what every call goes to, whichever tool is meant."""

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

_KEPT = sorted((*QwenVL.families, *GlmV.families))
"""InternVL's pictures are tiles, which TRL counts only as long as no tool brings one."""


class Processor(Qwen2_5_VLProcessor):
    """The processor of Qwen's line and GLM-V, without what needs torchvision: that for videos.

    Attributes:
        speaking: The rollouts whose turns are being generated, in order.

    Args:
        base: The policy's tokenizer and image processor; its tokenizer is changed.

    Raises:
        ConfigError: If the model is of another line.
    """

    def __init__(self, base: VisionLanguageModel) -> None:
        config = base.model.config
        if not isinstance(base, QwenVL):
            raise unknown_name("model type for the trainer 'trl'", config.model_type, _KEPT)
        tokenizer = base.tokenizer
        self.base = base
        self.speaking = deque[VisionThink]()
        self.image_token_id, self.video_token_id = base.image_id, config.video_token_id
        marks = tokenizer.convert_ids_to_tokens([self.image_token_id, self.video_token_id])
        self.image_token, self.video_token = marks
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
        """Texts and pictures as the model takes them; pictures as tensors, as TRL expects them.

        A text has all its tokens: what some tokenizers put before one would stand there twice.
        """
        made = super().__call__(*what, **{"add_special_tokens": False, **how})
        for name, value in made.items():
            if isinstance(value, np.ndarray):
                made[name] = torch.from_numpy(value)
        return made

    @cached_property
    def forbidden(self) -> list[int]:
        """Tokens that may not be said: those of pictures, and ends of a turn but the template's.

        TRL goes on after whatever ended a turn, where the project's agents put the right end first.
        """
        (end,) = self._after_turn(())
        return sorted({*self.base.forbidden, *self.base.stop_ids} - {end})

    def apply_chat_template(self, conversation: Any, *what: Any, **how: Any) -> Any:
        """Prompts by the checkpoint's template; what follows a turn as our agents read it.

        A tokenised conversation with a turn of the model begins with the token that ends the turn.
        """
        roles = [message["role"] for message in conversation if isinstance(message, Mapping)]
        if not how.get("tokenize") or "assistant" not in roles:
            return super().apply_chat_template(conversation, *what, **how)
        answers = [message["content"] for message in conversation if message["role"] == "tool"]
        return [self._after_turn(answers)]

    def _after_turn(self, answers: Sequence[Sequence[Mapping[str, Any]]]) -> list[int]:
        """The token that ends a turn, and what its call is answered, up to the next turn."""
        shown = [block["image"] for answer in answers for block in answer if "image" in block]
        without = [[{k: v for k, v in b.items() if k != "image"} for b in a] for a in answers]
        messages = [
            {"role": "user", "content": ""},
            {"role": "assistant", "content": ""},
            *({"role": "user", "content": answer} for answer in without or [[]]),
        ]
        counts = [self.base.counter.count(*image.size) for image in shown]
        ids = self.base.chat.continuation(messages, counts)
        return ids if answers else ids[:1]

    def parse_turn(self, ids: Sequence[int], **_: Any) -> dict[str, Any]:
        """A turn as a message, once its rollout has taken it; with a call where that goes on.

        Args:
            ids: What was generated, padding left out.
            **_: What stands before it, and the tools.
        """
        text = self.base.chat.opened + self.base.decode(ids)
        message = {"role": "assistant", "content": text, "token_ids": list(ids)}
        if self.speaking.popleft()._take(text):
            function = {"name": TOOL, "arguments": {}}
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
