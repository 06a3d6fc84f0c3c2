"""The turns of one rollout, token by token: see :mod:`agents.models.engine`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agents import Reply
from agents.models import VisionLanguageModel
from agents.models.engine import heard
from agents.models.images import patches
from agents.models.transcript import Transcript, reply_of
from agents.rollout import AgentError
from trainers.errors import TrainingError
from vt_env.dialogue import Dialogue


@dataclass(frozen=True, slots=True)
class Played:
    """A rollout whose dialogue is over.

    Attributes:
        dialogue: The dialogue.
        replies: The policy's turns.
        pictures: What the trainer's vision encoder takes, of all views.
    """

    dialogue: Dialogue
    replies: Sequence[Reply]
    pictures: Mapping[str, torch.Tensor]


class Turns:
    """The turns of one rollout.

    Args:
        words: The policy's.
        dialogue: What is played.
        engine: Who speaks.
        sampling: vLLM's parameters, this rollout's own; the most tokens of a turn are set here.
        max_new_tokens: Tokens that a turn may have.
        max_length: Tokens that the whole rollout may have.
    """

    def __init__(
        self,
        words: VisionLanguageModel,
        dialogue: Dialogue,
        engine: Any,
        sampling: Any,
        *,
        max_new_tokens: int,
        max_length: int,
    ) -> None:
        self.words = words
        self.dialogue = dialogue
        self.engine = engine
        self.sampling = sampling
        self.max_new_tokens = max_new_tokens
        self.max_length = max_length
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
                f"{self.dialogue.turn + 1}, of {self.max_length}: raise openrlhf.max_length"
            )
        self.sampling.max_tokens = room
        views = [view.image for view in self.dialogue.views]
        output = await self.engine.generate(
            self.transcript.marked(self.words.image_id),
            self.sampling,
            multi_modal_data={"image": views},
        )
        try:
            said, log_probs = heard(output, self.transcript, self.sampling.logit_bias)
        except AgentError as error:
            raise TrainingError(f"sample {self.dialogue.sample.id!r}: {error}") from error
        known = [0.0] * len(forced) + log_probs if log_probs else []
        reply = reply_of(self.words, prompt, [*forced, *said], known, forced=len(forced))
        self.transcript.say(reply.text, said)
        return reply

    def _pictures(self) -> dict[str, torch.Tensor]:
        """Patches and grids of all views, which must be those of the image tokens."""
        pixels, grids = patches(self.words.image_processor, self.dialogue.views)
        features = int(grids.prod(-1).sum()) // self.words.counter.merge**2
        tokens = self.transcript.ids.count(self.words.image_id)
        if features != tokens:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r}: {tokens} image tokens for {features} features"
            )
        return {"pixel_values": pixels, "image_grid_thw": grids}
