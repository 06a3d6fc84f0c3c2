"""A conversation so far in tokens, exactly as it was read and said.

Whoever runs the model (this process, vLLM, OpenRLHF's engine) prompts with the tokens of a
:class:`Transcript`, so the same conversation gives the same tokens. What the model said is never
tokenised again: a conversation whose tokens are not there is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from agents.base import Conversation, Reply, cut_turn
from agents.models.vlm import VisionLanguageModel
from agents.rollout import AgentError
from vt_env.pictures import View

Messages = Sequence[Mapping[str, Any]]

ROOM = 2**30
"""Bytes that the transcripts of an agent take at most, beside those of the conversations in play:
some 26 million tokens."""

_BYTES_PER_TOKEN = 40
_BYTES_APART = 1000


@dataclass(slots=True, eq=False)
class Transcript:
    """One conversation.

    Attributes:
        ids: All tokens read and said.
        turns: The text of each turn of the model, and how many tokens there were after it.
    """

    ids: list[int] = field(default_factory=list)
    turns: list[tuple[str, int]] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        text = sum(len(text) for text, _ in self.turns)
        return _BYTES_APART + _BYTES_PER_TOKEN * len(self.ids) + 4 * text

    def rewind(self, texts: Sequence[str]) -> bool:
        """Go back to where the model had said these texts, if it did."""
        if [text for text, _ in self.turns[: len(texts)]] != list(texts):
            return False
        del self.turns[len(texts) :]
        del self.ids[self.turns[-1][1] if texts else 0 :]
        return True

    def prompt(
        self, processor: VisionLanguageModel, messages: Messages, views: Sequence[View]
    ) -> list[int]:
        """The tokens since the model last spoke, image tokens included; they are read then.

        Args:
            processor: The model, whose weights are not needed.
            messages: The conversation in chat format.
            views: All views shown so far.
        """
        if not self.ids:
            ids = processor.chat.opening(messages, [processor.count(view) for view in views])
        else:
            shown = views[len(views) - _pictures(_since_last_turn(messages)) :]
            ids = processor.chat.continuation(messages, [processor.count(view) for view in shown])
            ids = ids[ids[0] == self.ids[-1] :]  # an end-of-turn token that the model said itself
        self.ids.extend(ids)
        return ids

    def add_turn(self, text: str, ids: Sequence[int]) -> None:
        """Take note of a turn of the model."""
        self.ids.extend(ids)
        self.turns.append((text, len(self.ids)))

    def with_placeholders(self, image_id: int) -> list[int]:
        """The tokens with one mark for each picture, as vLLM takes them."""
        return [
            token
            for token, before in zip(self.ids, [None, *self.ids], strict=False)
            if token != image_id or before != image_id
        ]


T = TypeVar("T", bound=Transcript)


class Transcripts(Generic[T]):
    """The transcripts of conversations that may go on, by their rollout's id.

    Args:
        make: Makes an empty one.
        room: Bytes that they may take. The ones used longest ago go first, but never those of the
            conversations that are in play.
    """

    def __init__(self, make: Callable[[], T], room: int = ROOM) -> None:
        self.make = make
        self.room = room
        self._kept: dict[str, T] = {}

    def of(self, conversations: Sequence[Conversation]) -> list[T]:
        """What there is of each conversation; those in play are all kept.

        Raises:
            AgentError: If a conversation goes on that is not known, or has other turns than the
                model said; or if one rollout comes twice.
        """
        rollouts = [c.rollout for c in conversations if c.rollout]
        if len(set(rollouts)) < len(rollouts):
            raise AgentError("one rollout comes twice in a batch; each needs an id of its own")
        found = [self._of(conversation) for conversation in conversations]
        self._trim(len(rollouts))
        return found

    def values(self) -> list[T]:
        """Every transcript that is kept."""
        return list(self._kept.values())

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()

    def _of(self, conversation: Conversation) -> T:
        texts = _turns_of(conversation.messages)
        kept = self._kept.pop(conversation.rollout, None)
        if kept is None:
            if len(texts) > conversation.written:
                raise AgentError(self._unknown(conversation, len(texts)))
            kept = self.make()
            kept.turns = [(text, 0) for text in texts]
        elif not kept.rewind(texts):
            raise AgentError(
                f"rollout {conversation.rollout!r} has other turns than this agent said; the "
                "messages must have each reply's text as it was"
            )
        if conversation.rollout:
            self._kept[conversation.rollout] = kept
        return kept

    def _unknown(self, conversation: Conversation, turns: int) -> str:
        if not conversation.rollout:
            return (
                "a conversation can go on only if its rollout is known: give Conversation.rollout"
            )
        return (
            f"rollout {conversation.rollout!r} has {turns} turns whose tokens are not here: they "
            f"were said elsewhere, forgotten, or more than {self.room:,} bytes ago; let one agent "
            "play whole rollouts, in batches that fit"
        )

    def _trim(self, in_play: int) -> None:
        """Let the oldest go until the rest fits; those in play stand last."""
        size = sum(transcript.nbytes for transcript in self._kept.values())
        for rollout in list(self._kept)[: len(self._kept) - in_play]:
            if size <= self.room:
                break
            size -= self._kept.pop(rollout).nbytes


def _turns_of(messages: Messages) -> list[str]:
    """The model's turns, as the environment noted them."""
    turns = [message["content"] for message in messages if message["role"] == "assistant"]
    return [
        turn if isinstance(turn, str) else "".join(block.get("text", "") for block in turn)
        for turn in turns
    ]


def _since_last_turn(messages: Messages) -> Messages:
    """The messages after the model's last turn."""
    last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
    return messages[last + 1 :]


def _pictures(messages: Messages) -> int:
    return sum(block["type"] == "image" for m in messages for block in m["content"])


def reply_of(
    processor: VisionLanguageModel,
    prompt: Sequence[int],
    ids: Sequence[int],
    log_probs: Sequence[float],
    *,
    forced: int = 0,
    ends: Sequence[str] = (),
) -> Reply:
    """A turn in tokens as a reply.

    Args:
        processor: The model, whose weights are not needed.
        prompt: What it read before the turn.
        ids: What it said.
        log_probs: Of these tokens; empty where they are not known.
        forced: How many of the first tokens the caller chose.
        ends: Stop strings, with which a turn ends too.
    """
    opened = processor.chat.opened
    text, ended = opened + processor.decode(ids), False
    if ends:
        text, ended = cut_turn(text, ends, len(opened) + len(processor.decode(ids[:forced])))
    return Reply(
        text=text,
        prompt_ids=tuple(prompt),
        token_ids=tuple(ids),
        log_probs=tuple(log_probs) or None,
        truncated=not ended and ids[-1] not in processor.stop_ids,
        forced=forced,
        text_tokens=sum(token != processor.image_id for token in (*prompt, *ids)),
    )
