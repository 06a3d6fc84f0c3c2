"""Conversations as tokens, through the model's own chat template.

What a model said is never rendered or tokenised again: a later turn's prompt is only what the
template puts between the model's last token and its next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any

from vt_env.errors import ConfigError
from vt_env.marks import safe

_TURN = "THE-TURN-OF-THE-MODEL"
_LONGEST_KEY = 2**14


class Chat:
    """Renders and tokenises.

    Args:
        tokenizer: With a chat template.
        image_id: The token that the template puts where a picture stands.
        around: The tokens before and after a picture that the template does not put there.
    """

    def __init__(self, tokenizer: Any, image_id: int, around: Sequence[int] = ()) -> None:
        self.tokenizer = tokenizer
        self.image_id = image_id
        self.around = tuple(around)
        marks = tokenizer.convert_ids_to_tokens([image_id, *around])
        self._marks = tuple(mark for mark in marks if not mark.startswith("<|"))
        self._remembered = lru_cache(maxsize=4096)(self._tokenised)

    def opening(
        self, messages: Sequence[Mapping[str, Any]], image_tokens: Sequence[int]
    ) -> list[int]:
        """The whole conversation, ready for the model's turn.

        Args:
            messages: In chat format.
            image_tokens: Visual tokens of each picture, in order.
        """
        return self._expanded(
            self._tokens(self._key(messages, after_turn=False), False), image_tokens
        )

    def continuation(
        self, messages: Sequence[Mapping[str, Any]], image_tokens: Sequence[int]
    ) -> list[int]:
        """What stands after the model's last turn, ready for its next.

        It begins with the end-of-turn token, which the model may have generated already.

        Args:
            messages: The whole conversation; a turn of the model and what came after it are last.
            image_tokens: Visual tokens of each picture since, in order.
        """
        return self._expanded(
            self._tokens(self._key(messages, after_turn=True), True), image_tokens
        )

    def start(self, text: str) -> list[int]:
        """The tokens that a turn has to begin with to begin so, after what is opened already.

        Raises:
            ConfigError: If the model has no token for a part of the text.
        """
        if "</think>" in self.opened:
            text = text.rpartition("</think>")[2].lstrip("\n")
        elif self.opened:
            text = text.removeprefix("<think>")
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        if (unknown := self.tokenizer.unk_token_id) is not None and unknown in ids:
            raise ConfigError(f"the model has no words for a turn that begins with {text!r}")
        return ids

    @cached_property
    def opened(self) -> str:
        """What the template writes of a turn by itself, from ``<think>`` on; mostly nothing.

        The text of a turn begins with it; its tokens are the prompt's.
        """
        asked = [{"role": "user", "content": [{"type": "text", "text": "?"}]}]
        render = partial(self.tokenizer.apply_chat_template, asked, tokenize=False)
        before, after = render(), render(add_generation_prompt=True)
        _, mark, rest = after[len(before) :].partition("<think>")
        return mark + rest

    def _tokens(self, key: str, after_turn: bool) -> tuple[int, ...]:
        """Of a key that is not too long to be remembered, once."""
        return (self._remembered if len(key) <= _LONGEST_KEY else self._tokenised)(key, after_turn)

    def _tokenised(self, key: str, after_turn: bool) -> tuple[int, ...]:
        text = self.tokenizer.apply_chat_template(
            json.loads(key), tokenize=False, add_generation_prompt=True
        )
        if after_turn:
            text = text.rpartition(_TURN)[2]
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def _expanded(self, ids: Sequence[int], image_tokens: Sequence[int]) -> list[int]:
        """One image token for each visual token of a picture.

        Raises:
            ValueError: If there is not one mark for each picture.
        """
        marks = [index for index, token in enumerate(ids) if token == self.image_id]
        if len(marks) != len(image_tokens):
            raise ValueError(
                f"the chat template marks {len(marks)} pictures where {len(image_tokens)} stand"
            )
        made: list[int] = []
        at = 0
        for mark, number in zip(marks, image_tokens, strict=True):
            made.extend(ids[at:mark])
            made.extend([*self.around[:1], *[self.image_id] * number, *self.around[1:]])
            at = mark + 1
        made.extend(ids[at:])
        return made

    def _key(self, messages: Sequence[Mapping[str, Any]], *, after_turn: bool) -> str:
        """The messages as a key of the cache, made safe.

        A chat mark inside a text would forge a turn or a picture, so a space is put into it. Turns
        of the model are replaced where its own tokens stand for them.
        """
        return json.dumps(
            [
                {"role": "assistant", "content": [{"type": "text", "text": _TURN}]}
                if after_turn and message["role"] == "assistant"
                else {"role": message["role"], "content": safe(message["content"], self._marks)}
                for message in messages
            ]
        )
