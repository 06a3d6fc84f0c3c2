"""A conversation so far in tokens, exactly as it was read and said.

Whoever runs the model (this process, vLLM, OpenRLHF's engine) prompts with the tokens of a
:class:`Transcript`, so the same conversation gives the same tokens. What the model said is never
tokenised again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from agents.base import Reply, cut_turn
from agents.models.vlm import VisionLanguageModel
from vt_env.pictures import View

Messages = Sequence[Mapping[str, Any]]


@dataclass(slots=True, eq=False)
class Transcript:
    """One conversation.

    Attributes:
        messages: The environment's list, which also tells conversations apart.
        ids: All tokens read and said.
        said: The text of each turn of the model, and how many tokens there were after it.
    """

    messages: Messages
    ids: list[int] = field(default_factory=list)
    said: list[tuple[str, int]] = field(default_factory=list)

    def rewind(self, texts: Sequence[str]) -> bool:
        """Go back to where the model had said these texts, if it did."""
        if [text for text, _ in self.said[: len(texts)]] != list(texts):
            return False
        del self.said[len(texts) :]
        del self.ids[self.said[-1][1] if texts else 0 :]
        return True

    def prompt(self, words: VisionLanguageModel, views: Sequence[View]) -> list[int]:
        """The tokens since the model last spoke, image tokens included; they are read then.

        Args:
            words: The model, whose weights are not needed.
            views: All views shown so far.
        """
        if not self.ids:
            ids = words.chat.opening(self.messages, [words.count(view) for view in views])
        else:
            shown = views[len(views) - sum(map(_pictures, _since_said(self.messages))) :]
            ids = words.chat.continuation(self.messages, [words.count(view) for view in shown])
            ids = ids[ids[0] == self.ids[-1] :]  # an end-of-turn token that the model said itself
        self.ids.extend(ids)
        return ids

    def say(self, text: str, ids: Sequence[int]) -> None:
        """Take note of a turn of the model."""
        self.ids.extend(ids)
        self.said.append((text, len(self.ids)))

    def marked(self, image_id: int) -> list[int]:
        """The tokens with one mark for each picture, as vLLM takes them."""
        return [
            token
            for token, before in zip(self.ids, [None, *self.ids], strict=False)
            if token != image_id or before != image_id
        ]


T = TypeVar("T", bound=Transcript)


class Transcripts(Generic[T]):
    """The transcripts of conversations that may go on.

    Args:
        make: A new one of these messages.
        most: Kept at the same time; the oldest go first.
    """

    def __init__(self, make: Callable[[Messages], T], most: int = 1024) -> None:
        self.make = make
        self.most = most
        self._kept: dict[int, T] = {}

    def of(self, messages: Messages) -> T:
        """What there is of the conversation; none of it where it is not as the model said."""
        kept = self._kept.pop(id(messages), None)
        if kept is None or not kept.rewind(_said(messages)):
            kept = self.make(messages)
        self._kept[id(messages)] = kept
        while len(self._kept) > self.most:
            del self._kept[next(iter(self._kept))]
        return kept

    def values(self) -> list[T]:
        """Every transcript that is kept."""
        return list(self._kept.values())

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()


def _said(messages: Messages) -> list[str]:
    """The model's turns, as the environment noted them."""
    turns = [message["content"] for message in messages if message["role"] == "assistant"]
    return [
        turn if isinstance(turn, str) else "".join(block.get("text", "") for block in turn)
        for turn in turns
    ]


def _since_said(messages: Messages) -> Messages:
    """The messages after the model's last turn."""
    last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
    return messages[last + 1 :]


def _pictures(message: Mapping[str, Any]) -> int:
    return sum(block["type"] == "image" for block in message["content"])


def reply_of(
    words: VisionLanguageModel,
    prompt: Sequence[int],
    ids: Sequence[int],
    log_probs: Sequence[float],
    *,
    forced: int = 0,
    stop: bool = False,
) -> Reply:
    """A turn in tokens as a reply.

    Args:
        words: The model, whose weights are not needed.
        prompt: What it read before the turn.
        ids: What it said.
        log_probs: Of these tokens; empty where they are not known.
        forced: How many of the first tokens the caller chose.
        stop: Whether a turn ends with one of :data:`agents.base.TURN_ENDS` too.
    """
    text, ended = words.decode(ids), False
    if stop:
        text, ended = cut_turn(text, len(words.decode(ids[:forced])))
    return Reply(
        text=text,
        prompt_ids=tuple(prompt),
        token_ids=tuple(ids),
        log_probs=tuple(log_probs) or None,
        truncated=not ended and ids[-1] not in words.stop_ids,
        forced=forced,
    )
