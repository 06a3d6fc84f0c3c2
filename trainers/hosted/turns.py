"""The turns of one rollout, token by token: see :mod:`agents.models.engine`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from agents import Reply
from agents.models import VisionLanguageModel
from agents.models.images import patches
from agents.models.transcript import Transcript, reply_of
from agents.rollout import AgentError
from trainers.errors import TrainingError
from vt_env.dialogue import Dialogue
from vt_env.pictures import View

Speak = Callable[[Transcript, Sequence[View], int], Awaitable[tuple[list[int], list[float]]]]
"""Asks an engine for a turn: what there is to read, all views, the most tokens it may say. Gives
the tokens it said and their log-probabilities, none where they are not known; an AgentError says
why they cannot be used."""


@dataclass(frozen=True, slots=True)
class Played:
    """A rollout whose dialogue is over.

    Attributes:
        dialogue: The dialogue.
        replies: The policy's turns.
        pictures: What the trainer's vision encoder takes, of all views; empty where the trainer
            cuts them itself.
    """

    dialogue: Dialogue
    replies: Sequence[Reply]
    pictures: Mapping[str, torch.Tensor]


class Turns:
    """The turns of one rollout.

    Args:
        words: The policy's.
        dialogue: What is played.
        speak: The engine.
        max_new_tokens: Tokens that a turn may have.
        max_length: Tokens that the whole rollout may have.
        cut: Whether to make patches of the views.
    """

    def __init__(
        self,
        words: VisionLanguageModel,
        dialogue: Dialogue,
        speak: Speak,
        *,
        max_new_tokens: int,
        max_length: int,
        cut: bool = True,
    ) -> None:
        self.words = words
        self.dialogue = dialogue
        self.speak = speak
        self.max_new_tokens = max_new_tokens
        self.max_length = max_length
        self.cut = cut
        self.transcript = Transcript(dialogue.messages)

    async def play(self, start: Sequence[int] = ()) -> Played:
        """All turns.

        Args:
            start: Tokens that the first turn is made to begin with, if it could ask.
        """
        replies: list[Reply] = []
        forced = start if self.dialogue.can_request else ()
        while not self.dialogue.done:
            replies.append(await self._turn(forced))
            forced = ()
            await asyncio.to_thread(self.dialogue.apply, replies[-1].text)
        pictures = await asyncio.to_thread(self._pictures)
        return Played(self.dialogue, replies, pictures)

    async def _turn(self, forced: Sequence[int]) -> Reply:
        prompt = self.transcript.prompt(self.words, self.dialogue.views)
        ids = self.transcript.ids
        ids += forced
        room = min(self.max_new_tokens - len(forced), self.max_length - len(ids))
        if room < 1:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r} has {len(ids)} tokens before turn "
                f"{self.dialogue.turn + 1}, of {self.max_length}: raise the trainer's max_length"
            )
        try:
            said, log_probs = await self.speak(self.transcript, self.dialogue.views, room)
        except AgentError as error:
            raise TrainingError(f"sample {self.dialogue.sample.id!r}: {error}") from error
        known = [0.0] * len(forced) + log_probs if log_probs else []
        reply = reply_of(self.words, prompt, [*forced, *said], known, forced=len(forced))
        self.transcript.say(reply.text, said)
        return reply

    def _pictures(self) -> dict[str, torch.Tensor]:
        """Patches and grids of all views, which must be those of the image tokens."""
        features = sum(self.words.count(view) for view in self.dialogue.views)
        tokens = self.transcript.ids.count(self.words.image_id)
        if features != tokens:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r}: {tokens} image tokens for {features} features"
            )
        if not self.cut:
            return {}
        pixels, grids = patches(self.words.image_processor, self.dialogue.views)
        return {"pixel_values": pixels, "image_grid_thw": grids}
