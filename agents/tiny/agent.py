"""The tiny policy as an agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.models.vlm import VisionLanguageModel
from agents.tiny.tokenizer import BLURRY, CLEAR
from agents.transformers import TransformersAgent


class TinyAgent(TransformersAgent):
    """``tiny:PATH,temperature=1``; the environment's prompt should be ``tiny``.

    Args:
        path: Folder of a checkpoint, or the loaded model.
        max_new_tokens: Most tokens of a turn; its longest well-formed turn has 11.
        batch: Most conversations at once.
        stop: As there; its own end of a turn is one token, which it has learnt to say.
        **settings: As :class:`~agents.transformers.TransformersAgent` has them.
    """

    prefixes: Mapping[str, str] = {
        "direct": f"<think>{CLEAR}</think><answer>",
        "request": f"<think>{BLURRY}</think><tool_call>",
    }

    def __init__(
        self,
        path: str | Path | VisionLanguageModel,
        *,
        max_new_tokens: int = 16,
        batch: int = 512,
        stop: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(path, max_new_tokens=max_new_tokens, batch=batch, stop=stop, **settings)
