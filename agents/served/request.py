"""What a request says beside its messages, and what of that a server turned out to refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.base import TURN_ENDS, Conversation
from agents.marks import safe
from agents.served.pictures import DataUris

_NEUTRAL: Mapping[str, Any] = {
    "top_p": 1.0,
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "skip_special_tokens": False,
}
"""What is not said, a server takes from the checkpoint's ``generation_config.json``: Qwen2.5-VL's
has a repetition penalty of 1.05 and a ``top_k`` of 1. These leave the model's own distribution as
it is, and its text with all its tokens."""

_NEEDED = ("temperature", "messages", "model", "max_completion_tokens")


class Request:
    """The parameters of a turn; those that a server refuses are left out from then on.

    Args:
        model: As the server calls it.
        temperature: Of sampling.
        max_new_tokens: Most tokens of a turn.
        stop: Whether to ask for stop strings.
    """

    def __init__(self, model: str, temperature: float, max_new_tokens: int, stop: bool) -> None:
        self.model = model
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.stop = stop
        self.refused: set[str] = set()

    def body(self, messages: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
        """A chat completion's request."""
        wanted = {
            "model": self.model,
            "messages": messages,
            "temperature": self.temperature,
            "max_tokens": self.max_new_tokens,
            "seed": seed,
            **_NEUTRAL,
        }
        if "max_tokens" in self.refused:
            wanted["max_completion_tokens"] = self.max_new_tokens
        if self.stop:
            wanted["stop"] = list(TURN_ENDS)
        return {name: value for name, value in wanted.items() if name not in self.refused}

    def leave_out(self, complaint: str, body: Mapping[str, Any]) -> str | None:
        """Leave out the parameter of a refused request that an error complains of.

        Returns:
            Its name; ``None`` if there is none that can be done without.
        """
        for name in body:
            if name in _NEEDED or not re.search(rf"\b{name}\b", complaint):
                continue
            if name == "max_tokens" and "max_completion_tokens" not in complaint:
                continue
            self.refused.add(name)
            return name
        return None


def chat_messages(conversation: Conversation, uris: DataUris) -> list[dict[str, Any]]:
    """The conversation with its pictures where their marks stand."""
    views = iter(conversation.images)

    def block(given: Mapping[str, Any]) -> dict[str, Any]:
        if given["type"] != "image":
            return dict(given)
        return {"type": "image_url", "image_url": {"url": uris.of(next(views))}}

    return [
        {"role": message["role"], "content": _content(message, block)}
        for message in conversation.messages
    ]


def _content(message: Mapping[str, Any], block: Any) -> Any:
    """Only a user's turn is sent in blocks: some servers take no others in them."""
    content = safe(message["content"])
    if message["role"] == "user":
        return [block(given) for given in content]
    if isinstance(content, str):
        return content
    return "".join(given["text"] for given in content)
