"""A vision-language model of ``transformers`` as an agent.

Prompts go through the model's own chat template. Keys and values are kept from one turn of a
rollout to the next, every distinct view of a batch is encoded once, and siblings of a group read
once what they have in common: the prompt, and a tool's reply if they have said the same. A reply
keeps the tokens and their log-probabilities as they were generated; what the model said is never
tokenised again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.base import TURN_ENDS, Conversation, Reply, cut_turn
from agents.models.generation import Memory, Stretch, Turns, read, speak
from agents.models.loading import load_vlm
from agents.models.transcript import Transcript, Transcripts, reply_of
from agents.models.vlm import VisionLanguageModel
from agents.steering import Arm
from vt_env.errors import ConfigError, unknown_name
from vt_env.pictures import View

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES: Mapping[str, str] = {
    "direct": "<think>The image shows enough.</think>\n<answer>",
    "request": "<think>The image does not show enough.</think>\n<tool_call>",
}
"""Beginnings of a turn that decide it: for an answer, and for a request."""

_LAST = max(map(len, TURN_ENDS))


@dataclass(slots=True, eq=False)
class _Rollout(Transcript):
    """One conversation so far, and what of it the model has read.

    Attributes:
        read: How many of the tokens are in the memory.
        position: Of the next token to read.
        views: How many views have been read.
        memory: Where its keys and values are, if they are kept.
        row: Its row there.
    """

    read: int = 0
    position: int = 0
    views: int = 0
    memory: Memory | None = None
    row: int = 0

    def rewind(self, texts: Sequence[str]) -> bool:
        """Go back to where the model had said these texts, if it did."""
        before = len(self.ids)
        if not Transcript.rewind(self, texts):
            return False
        if len(self.ids) < before:
            self.forget()
        return True

    def forget(self) -> None:
        """Drop keys and values; the tokens stay."""
        self.memory, self.read, self.position, self.views = None, 0, 0, 0


class TransformersAgent:
    """``make_agent("transformers:PATH,temperature=1")``.

    A token depends on the rollout's own generator and on what the rollout has seen, not on which
    rollouts share a batch (but for rounding: a sum in another order can differ in the last bit).

    Args:
        path: Folder or Hub name of a checkpoint of one of :data:`agents.models.loading.FAMILIES`,
            or the loaded model.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        batch: Most conversations at once.
        stop: Whether a turn ends with one of :data:`agents.base.TURN_ENDS`, as with a server's stop
            strings, and not only with the end-of-turn token. Trainers switch it off: the policy
            has to learn to end its turns.
        dtype: See :func:`agents.models.loading.load_vlm`.
        device: As there.
        arm: ``"direct"`` or ``"request"`` forces every first turn that could ask; ``None`` leaves
            the choice to the model.

    Raises:
        ConfigError: On a value out of range, or if the model cannot be used.
    """

    prefixes: Mapping[str, str] = PREFIXES

    def __init__(
        self,
        path: str | Path | VisionLanguageModel,
        *,
        temperature: float = 0.0,
        max_new_tokens: int = 512,
        batch: int = 64,
        stop: bool = True,
        dtype: str = "auto",
        device: str | None = None,
        arm: str | None = None,
    ) -> None:
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"temperature must be a finite number from 0 up, got {temperature}")
        if min(max_new_tokens, batch) < 1:
            raise ConfigError("max_new_tokens and batch must be at least 1")
        if arm is not None and arm not in self.prefixes:
            raise unknown_name("arm", arm, self.prefixes)
        loaded = isinstance(path, VisionLanguageModel)
        self.vlm = path if loaded else load_vlm(path, dtype=dtype, device=device)
        self.temperature = temperature
        self.max_new_tokens = max_new_tokens
        self.batch = batch
        self.stop = stop
        self.arm = arm
        source = self.vlm.model.config.name_or_path if loaded else str(path)
        self.name = Path(source).name or "model"
        self._rollouts = Transcripts(_Rollout, max(4 * batch, 1024))

    def act(
        self,
        conversations: Sequence[Conversation],
        forced: Sequence[str | None] | None = None,
    ) -> list[Reply]:
        """One turn for each conversation.

        Args:
            conversations: Any number. Siblings that see the same view share it as one object.
            forced: What each turn must begin with, e.g. one of :attr:`prefixes`; ``None`` or
                ``""`` for a free one.
        """
        starts = self._starts(conversations, forced)
        rollouts = [self._rollouts.of(conversation.messages) for conversation in conversations]
        kept = {id(rollout) for rollout in rollouts}
        for rollout in self._rollouts.values():
            if id(rollout) not in kept:
                rollout.forget()
        replies: list[Reply] = []
        for begin in range(0, len(conversations), self.batch):
            part = slice(begin, begin + self.batch)
            replies += self._turns(rollouts[part], conversations[part], starts[part])
        return replies

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        """One turn for each conversation, beginning with its arm's prefix."""
        return self.act(conversations, [self.prefixes[arm] if arm else None for arm in arms])

    def forget(self) -> None:
        """Drop what is kept for turns to come, e.g. after the model's weights have changed."""
        self._rollouts.clear()

    def _starts(
        self, conversations: Sequence[Conversation], forced: Sequence[str | None] | None
    ) -> list[list[int]]:
        if forced is None:
            prefix = self.prefixes[self.arm] if self.arm else None
            forced = [prefix if c.turn == 0 and c.can_request else None for c in conversations]
        if len(forced) != len(conversations):
            raise ConfigError(
                f"forced must have one text for each of {len(conversations)} conversations, got "
                f"{len(forced)}"
            )
        encode = self.vlm.tokenizer.encode
        ids = {text: encode(text, add_special_tokens=False) for text in set(forced) if text}
        return [ids.get(text, []) if text else [] for text in forced]

    def _turns(
        self,
        rollouts: Sequence[_Rollout],
        conversations: Sequence[Conversation],
        starts: Sequence[Sequence[int]],
    ) -> list[Reply]:
        """One batch of turns; rollouts whose keys and values lie together go together."""
        prompts = [
            rollout.prompt(self.vlm, conversation.images)
            for rollout, conversation in zip(rollouts, conversations, strict=True)
        ]
        groups: dict[int, list[int]] = {}
        for index, rollout in enumerate(rollouts):
            groups.setdefault(id(rollout.memory), []).append(index)
        replies: dict[int, Reply] = {}
        for indices in groups.values():
            members = [rollouts[i] for i in indices]
            memory, logits = self._read(members, [conversations[i].images for i in indices])
            turns = speak(
                self.vlm,
                memory,
                logits,
                np.array([member.position for member in members]),
                np.stack([conversations[i].rng.random(self.max_new_tokens) for i in indices]),
                temperature=self.temperature,
                forced=[starts[i] for i in indices] if any(starts[i] for i in indices) else None,
                ended=self._ended if self.stop else None,
            )
            for place, index in enumerate(indices):
                rollout = rollouts[index]
                rollout.memory, rollout.row = memory, place
                rollout.read = len(rollout.ids) + turns.read[place]
                rollout.position += turns.read[place]
                reply = self._reply(turns, place, prompts[index], starts[index])
                rollout.say(reply.text, turns.ids[place])
                replies[index] = reply
        return [replies[index] for index in range(len(rollouts))]

    def _ended(self, ids: Sequence[int]) -> bool:
        """Whether what was said last closes a turn; no token is less than a letter of it."""
        return cut_turn(self.vlm.decode(ids[-_LAST:]))[1]

    def _reply(
        self, turns: Turns, place: int, prompt: Sequence[int], start: Sequence[int]
    ) -> Reply:
        ids = turns.ids[place]
        return reply_of(
            self.vlm,
            prompt,
            ids,
            turns.log_probs[place],
            forced=min(len(start), len(ids)),
            stop=self.stop,
        )

    def _read(
        self, rollouts: Sequence[_Rollout], images: Sequence[Sequence[View]]
    ) -> tuple[Memory, Tensor]:
        """Let rollouts of one memory read what they have not; equal beginnings are read once.

        Returns:
            The memory, one row a rollout, and the logits of the next tokens.
        """
        keys = [(tuple(r.ids), tuple(map(id, v))) for r, v in zip(rollouts, images, strict=True)]
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        rows = {key: row for row, key in enumerate(reversed(first))}
        memory = rollouts[0].memory
        if memory is not None:
            memory = memory.take([rollouts[first[key]].row for key in rows])
        stretches: list[Stretch] = []
        unread: list[View] = []
        for key in rows:
            index = first[key]
            rollout, views = rollouts[index], images[index][rollouts[index].views :]
            ids = rollout.ids[rollout.read :]
            where, after = self.vlm.positions(ids, views, rollout.position)
            stretches.append(Stretch(ids, where, after))
            unread.extend(views)
        memory, logits = read(self.vlm, memory, stretches, self.vlm.pictures(unread))
        if len(rows) < len(rollouts):
            order = [rows[key] for key in keys]
            memory, logits = memory.take(order), logits[order]
        for rollout, key, views in zip(rollouts, keys, images, strict=True):
            rollout.position = stretches[rows[key]].after
            rollout.views = len(views)
        return memory, logits
