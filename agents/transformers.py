"""A vision-language model of ``transformers`` as an agent.

Prompts go through the model's own chat template. The KV cache is kept from one turn of a rollout to
the next, every distinct view of a batch is encoded once, and what siblings of a group share (the
prompt, and a tool's reply after equal turns) is prefilled once. A reply keeps the tokens and
their log-probabilities as they were generated; a generated turn is never tokenised again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agents.base import Conversation, Reply, cut_turn
from agents.models.generation import Chunk, KVCache, decode, prefill
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

_DECIDED = 0.99
"""The two words at which these part have at least this probability together, or it is not told how
likely a request was: there is a third way to go on."""


@dataclass(slots=True, eq=False)
class _Rollout(Transcript):
    """One conversation so far, and what of it is in a KV cache.

    Attributes:
        cached: How many of the tokens are in the cache.
        position: Of the next token.
        views: How many views are in the cache.
        cache: Where its keys and values are, if they are kept.
        row: Its row there.
    """

    cached: int = 0
    position: int = 0
    views: int = 0
    cache: KVCache | None = None
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
        self.cache, self.cached, self.position, self.views = None, 0, 0, 0


class TransformersAgent:
    """A checkpoint in this process: ``transformers:PATH,temperature=1``.

    A reply says how likely a request was (:attr:`~agents.base.Reply.asking`) where the turn began
    freely and the two words at which :attr:`prefixes` part were all there was to say: the second's
    probability at temperature 1. What follows the word is taken to be as in the prefix.

    A token depends on the rollout's own generator and on what the rollout has seen, not on which
    rollouts share a batch (but for rounding: a sum in another order can differ in the last bit).

    Args:
        path: Folder or Hub name of a checkpoint of one of :data:`agents.models.loading.FAMILIES`,
            or the loaded model.
        temperature: Of sampling; 0 takes the likeliest token.
        max_new_tokens: Most tokens of one turn; a turn that reaches it is cut off.
        batch: Most conversations at once, so also those whose keys and values grow.
        stop: Whether a turn ends with the stop strings of its protocol's grammar, as with a
            server's, and not only with the end-of-turn token. Trainers switch it off: the policy
            has to learn to end its turns.
        dtype: See :func:`agents.models.loading.load_vlm`.
        device: As there.
        cache_gib: GiB of keys and values that may be kept from one turn of the rollouts in play to
            the next, beside those of the batch at work. What does not fit is read again, from the
            same tokens.
        arm: ``"direct"`` or ``"request"`` forces every first turn that could ask; ``None`` leaves
            the choice to the model.

    Raises:
        ConfigError: On a value out of range, or if the model cannot be used.
    """

    prefixes: Mapping[str, str] = PREFIXES
    """Beginnings of a turn by what it does: ``direct`` and ``request``, which holds ``<tool_call>``
    where that is said; and by a tool's name, where a call of it begins in words of its own."""

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
        cache_gib: float = 4.0,
        arm: str | None = None,
    ) -> None:
        if not 0 <= temperature < float("inf"):
            raise ConfigError(f"temperature must be a finite number from 0 up, got {temperature}")
        if min(max_new_tokens, batch) < 1:
            raise ConfigError(
                f"max_new_tokens and batch must be at least 1, got {max_new_tokens} and {batch}"
            )
        if not cache_gib >= 0:
            raise ConfigError(f"cache_gib must be at least 0, got {cache_gib}")
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
        self._cache_bytes = cache_gib * 2**30
        self._rollouts = Transcripts(_Rollout)
        self._lock = threading.Lock()

    def act(
        self,
        conversations: Sequence[Conversation],
        forced: Sequence[str | None] | None = None,
    ) -> list[Reply]:
        """One turn for each conversation. Calls from several threads take turns.

        Args:
            conversations: Any number. Siblings that see the same view share it as one object.
            forced: What each turn must begin with, e.g. one of :attr:`prefixes`; ``None`` or
                ``""`` for a free one.

        Raises:
            AgentError: If a conversation goes on of which this agent has no tokens.
        """
        starts = self._starts(conversations, forced)
        with self._lock:
            rollouts = self._rollouts.of(conversations)
            in_play = set(map(id, rollouts))
            for rollout in self._rollouts.values():
                if id(rollout) not in in_play:
                    rollout.forget()
            replies: list[Reply] = []
            for begin in range(0, len(conversations), self.batch):
                part = slice(begin, begin + self.batch)
                replies += self._turns(rollouts[part], conversations[part], starts[part])
                self._bound(rollouts, rollouts[part])
            return replies

    def _bound(self, in_play: Sequence[_Rollout], fresh: Sequence[_Rollout]) -> None:
        """Drop the keys and values of a batch that has spoken, if all together are too many.

        The older ones stay: in the next turn they are needed first, when these would have gone.
        """
        caches = {id(r.cache): r.cache for r in in_play if r.cache is not None}
        if sum(cache.nbytes for cache in caches.values()) > self._cache_bytes:
            for rollout in fresh:
                rollout.forget()

    def steer(
        self, conversations: Sequence[Conversation], arms: Sequence[Arm | None]
    ) -> list[Reply]:
        """One turn for each conversation, beginning with its arm's prefix."""
        return self.act(conversations, [self.prefixes[arm] if arm else None for arm in arms])

    def forget(self) -> None:
        """Drop what is kept for turns to come, e.g. after the model's weights have changed."""
        with self._lock:
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
        ids = {text: self.vlm.chat.start(text) for text in set(forced) if text}
        return [ids.get(text, []) if text else [] for text in forced]

    def _turns(
        self,
        rollouts: Sequence[_Rollout],
        conversations: Sequence[Conversation],
        starts: Sequence[Sequence[int]],
    ) -> list[Reply]:
        """One batch of turns; rollouts whose keys and values lie together go together."""
        prompts = [
            rollout.prompt(self.vlm, conversation.messages, conversation.images)
            for rollout, conversation in zip(rollouts, conversations, strict=True)
        ]
        groups: dict[int, list[int]] = {}
        for index, rollout in enumerate(rollouts):
            groups.setdefault(id(rollout.cache), []).append(index)
        replies: dict[int, Reply] = {}
        for indices in groups.values():
            members = [rollouts[i] for i in indices]
            cache, logits = self._prefill(members, [conversations[i].images for i in indices])
            ends = [conversations[i].ends if self.stop else () for i in indices]
            generated = decode(
                self.vlm,
                cache,
                logits,
                np.array([member.position for member in members]),
                np.stack([conversations[i].rng.random(self.max_new_tokens) for i in indices]),
                temperature=self.temperature,
                forced=[starts[i] for i in indices] if any(starts[i] for i in indices) else None,
                ended=[partial(self._ended, marks) for marks in ends] if any(ends) else None,
                watch=(len(self._parting[0]), self._parting[1]),
            )
            for place, index in enumerate(indices):
                rollout = rollouts[index]
                rollout.cache, rollout.row = cache, place
                rollout.cached = len(rollout.ids) + generated.cached[place]
                rollout.position += generated.cached[place]
                ids = generated.ids[place]
                reply = reply_of(
                    self.vlm,
                    prompts[index],
                    ids,
                    generated.log_probs[place],
                    forced=min(len(starts[index]), len(ids)),
                    ends=ends[place],
                )
                rollout.add_turn(reply.text, ids)
                if conversations[index].can_request and not starts[index]:
                    asking = self._asking(ids, generated.watched[place : place + 1])
                    reply = replace(reply, asking=asking)
                replies[index] = reply
                if self.vlm.recurrent:
                    rollout.forget()
        return [replies[index] for index in range(len(rollouts))]

    @cached_property
    def _parting(self) -> tuple[list[int], list[int]]:
        """The tokens that an answer and a request both begin with, and the two at which they part.

        None, where a model has no words for one of them.
        """
        try:
            starts = [self.vlm.chat.start(self.prefixes[arm]) for arm in ("direct", "request")]
        except ConfigError:
            return [], []
        pairs = list(zip(*starts, strict=False))
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        return starts[0][:at], [token for pair in pairs[at : at + 1] for token in pair]

    def _asking(self, ids: Sequence[int], parting: Sequence[Sequence[float]]) -> float | None:
        """The probability of a request where a turn had to begin with the one or the other word.

        Args:
            ids: The turn, freely said.
            parting: The probabilities of both words, if the batch came to where they stand.
        """
        common = self._parting[0]
        if not parting or list(ids[: len(common)]) != common or len(ids) == len(common):
            return None
        direct, request = parting[0]
        return request if direct + request >= _DECIDED else None

    def _ended(self, ends: Sequence[str], ids: Sequence[int]) -> bool:
        """Whether what was said last closes a turn; no token is less than a letter of it."""
        last = max(map(len, ends), default=0)
        return last > 0 and cut_turn(self.vlm.decode(ids[-last:]), ends)[1]

    def _prefill(
        self, rollouts: Sequence[_Rollout], images: Sequence[Sequence[View]]
    ) -> tuple[KVCache, Tensor]:
        """Prefill what rollouts of one cache have new; equal beginnings once.

        Returns:
            The cache, one row a rollout, and the logits of the next tokens.
        """
        keys = [(tuple(r.ids), tuple(map(id, v))) for r, v in zip(rollouts, images, strict=True)]
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        rows = {key: row for row, key in enumerate(reversed(first))}
        cache = rollouts[0].cache
        if cache is not None:
            cache = cache.take([rollouts[first[key]].row for key in rows])
        chunks: list[Chunk] = []
        new_views: list[View] = []
        for key in rows:
            index = first[key]
            rollout, views = rollouts[index], images[index][rollouts[index].views :]
            ids = rollout.ids[rollout.cached :]
            where, after = self.vlm.positions(ids, views, rollout.position)
            chunks.append(Chunk(ids, where, after))
            new_views.extend(views)
        cache, logits = prefill(self.vlm, cache, chunks, self.vlm.pictures(new_views))
        if len(rows) < len(rollouts):
            order = [rows[key] for key in keys]
            cache, logits = cache.take(order), logits[order]
        for rollout, key, views in zip(rollouts, keys, images, strict=True):
            rollout.position = chunks[rows[key]].after
            rollout.views = len(views)
        return cache, logits
