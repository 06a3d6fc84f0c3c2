"""A request: its messages with their pictures, and parameters without those that are refused."""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from agents.base import Conversation
from agents.llm.loop import PerProcess
from vt_env.marks import safe
from vt_env.pictures import View

REMEMBERED_BYTES = 256 * 2**20
"""Memory that data URIs take at most beside those that are being sent."""


class DataUris(PerProcess):
    """Makes the data URI of each view once, for as long as the view and the room for it are there.

    Siblings of a group share their views, and a second turn shows the first view again. Threads may
    share it.

    Args:
        limit: Bytes that it may take; the oldest go first.
    """

    def __init__(self, limit: int = REMEMBERED_BYTES) -> None:
        self._limit = limit
        self._forked()
        super().__init__()

    def _forked(self) -> None:
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[View, str] = WeakKeyDictionary()
        self._making: WeakKeyDictionary[View, threading.Lock] = WeakKeyDictionary()

    def of(self, view: View) -> str:
        """The view's data URI."""
        with self._lock:
            making = self._making.setdefault(view, threading.Lock())
        with making:
            uri = self._made.get(view)
            if uri is None:
                uri = data_uri(view)
                self._keep(view, uri)
        return uri

    def _keep(self, view: View, uri: str) -> None:
        with self._lock:
            size = len(uri) + sum(map(len, self._made.values()))
            for old in list(self._made):
                if size > self._limit:
                    size -= len(self._made.pop(old))
            if size <= self._limit:
                self._made[view] = uri


def data_uri(view: View) -> str:
    """A view in a data URI: its own file where it has one, else a PNG of its pixels."""
    data = _own_file(view)
    if data is None:
        stream = io.BytesIO()
        view.image.save(stream, "PNG", compress_level=1)
        data = stream.getvalue()
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode("ascii")


def _own_file(view: View) -> bytes | None:
    """The file that a view is, unless it is gone or larger than the pixels in it."""
    width, height = view.size
    most = 3 * width * height
    if isinstance(view.file, Path):
        try:
            return view.file.read_bytes() if view.file.stat().st_size <= most else None
        except OSError:
            return None
    return view.file if view.file is not None and len(view.file) <= most else None


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

_TOO_LONG = ("context length", "context_length", "context size", "maximum model length")
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

    def body(
        self, messages: Sequence[Mapping[str, Any]], seed: int, ends: Sequence[str]
    ) -> dict[str, Any]:
        """A chat completion's request; ``ends`` are its stop strings, where it asks for them."""
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
        if self.stop and ends:
            wanted["stop"] = list(ends)
        return {name: value for name, value in wanted.items() if name not in self.refused}

    def complained_of(self, complaint: str, body: Mapping[str, Any]) -> str | None:
        """The parameter of a refused request that an error complains of.

        Returns:
            Its name; ``None`` if there is none that can be done without.
        """
        if any(sign in complaint for sign in _TOO_LONG):
            return None
        for name in body:
            if name in _NEEDED or not re.search(rf"\b{name}\b", complaint):
                continue
            if name != "max_tokens" or "max_completion_tokens" in complaint:
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
