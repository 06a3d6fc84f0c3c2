"""The turns of one rollout, token by token.

An engine gets token ids and gives token ids; what the policy said is never tokenised again. What
the engine read must be what was meant, pictures included, and no token that stands for a picture
may be said: a mismatch stops the run instead of training on something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from agents import Reply
from agents.models import VisionLanguageModel
from agents.models.images import patches
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
        self.ids: list[int] = []
        self.shown = 0

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
        prompt = self._prompt()
        self.ids += [*prompt, *forced]
        room = min(self.max_new_tokens - len(forced), self.max_length - len(self.ids))
        if room < 1:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r} has {len(self.ids)} tokens before turn "
                f"{self.dialogue.turn + 1}, of {self.max_length}: raise openrlhf.max_length"
            )
        self.sampling.max_tokens = room
        views = [view.image for view in self.dialogue.views]
        output = await self.engine.generate(
            self._marked(), self.sampling, multi_modal_data={"image": views}
        )
        said, log_probs = self._said(output)
        self.ids += said
        ids = (*forced, *said)
        return Reply(
            text=self.words.decode(ids),
            prompt_ids=tuple(prompt),
            token_ids=ids,
            log_probs=(0.0,) * len(forced) + log_probs if log_probs else None,
            truncated=said[-1] not in self.words.stop_ids,
            forced=len(forced),
        )

    def _prompt(self) -> list[int]:
        """The tokens since the policy last spoke."""
        dialogue, chat = self.dialogue, self.words.chat
        counts = [self.words.counter.count(*view.size) for view in dialogue.views]
        before, self.shown = self.shown, len(counts)
        if not self.ids:
            return chat.opening(dialogue.messages, counts)
        ids = chat.continuation(dialogue.messages, counts[before:])
        return ids[ids[0] == self.ids[-1] :]  # an end-of-turn token that the policy said itself

    def _marked(self) -> list[int]:
        """The tokens with one mark for each picture, as vLLM takes them."""
        image = self.words.image_id
        return [
            i
            for i, before in zip(self.ids, [None, *self.ids], strict=False)
            if i != image or before != image
        ]

    def _said(self, output: Any) -> tuple[list[int], tuple[float, ...]]:
        """The engine's tokens, and their log-probabilities where they were asked for."""
        if list(output.prompt_token_ids) != self.ids:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r}: the engine read "
                f"{len(output.prompt_token_ids)} tokens where {len(self.ids)} were meant; "
                "do engine and trainer size pictures alike?"
            )
        made = output.outputs[0]
        said = list(made.token_ids)
        if wrong := sorted(set(said) & self.sampling.logit_bias.keys()):
            raise TrainingError(f"the engine said tokens that are forbidden: {wrong}")
        if not said:
            raise TrainingError(f"the engine said nothing and ended with {made.finish_reason!r}")
        scores = made.logprobs or ()
        return said, tuple(at[token].logprob for at, token in zip(scores, said, strict=False))

    def _pictures(self) -> dict[str, torch.Tensor]:
        """Patches and grids of all views, which must be those of the image tokens."""
        pixels, grids = patches(self.words.image_processor, self.dialogue.views)
        features = int(grids.prod(-1).sum()) // self.words.counter.merge**2
        tokens = self.ids.count(self.words.image_id)
        if features != tokens:
            raise TrainingError(
                f"sample {self.dialogue.sample.id!r}: {tokens} image tokens for {features} features"
            )
        return {"pixel_values": pixels, "image_grid_thw": grids}
