"""Batched generation with a cache of keys and values that outlives a turn.

Columns of a batch are padded on the left of every stretch of text, and padding is masked, so rows
of different lengths grow together. All tensors are on the model's device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from agents.models.vlm import VisionLanguageModel


@dataclass(slots=True)
class Memory:
    """What a batch of rows has read and said.

    Attributes:
        cache: Keys and values: [rows, heads, columns, size of a head] in every layer.
        valid: bool [rows, columns], false where a column is padding.
    """

    cache: DynamicCache
    valid: torch.Tensor

    def take(self, rows: Sequence[int]) -> Memory:
        """These rows in this order, each as often as it is named."""
        if list(rows) == list(range(len(self.valid))):
            return self
        index = torch.tensor(rows, device=self.valid.device)
        cache = copy(self.cache)
        cache.layers = [copy(layer) for layer in cache.layers]
        cache.batch_select_indices(index)
        return Memory(cache, self.valid[index])


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens that a row reads at once.

    Attributes:
        ids: The tokens.
        positions: int64 [3, tokens].
        after: Position of the token that follows.
    """

    ids: Sequence[int]
    positions: NDArray[np.int64]
    after: int


@torch.no_grad()
def read(
    vlm: VisionLanguageModel,
    memory: Memory | None,
    stretches: Sequence[Stretch],
    pictures: torch.Tensor | None,
) -> tuple[Memory, torch.Tensor]:
    """Let every row read a stretch.

    Args:
        vlm: The model.
        memory: What the rows have read; ``None`` at the beginning. It is changed.
        stretches: One a row, none of them empty.
        pictures: See :meth:`VisionLanguageModel.hidden`.

    Returns:
        The memory, and the logits of the next token: float32 [rows, vocabulary].
    """
    rows, width = len(stretches), max(len(stretch.ids) for stretch in stretches)
    ids = np.full((rows, width), vlm.tokenizer.pad_token_id, np.int64)
    positions = np.zeros((3, rows, width), np.int64)
    real = np.zeros((rows, width), bool)
    for row, stretch in enumerate(stretches):
        begin = width - len(stretch.ids)
        ids[row, begin:] = stretch.ids
        positions[:, row, begin:] = stretch.positions
        real[row, begin:] = True
    device = vlm.device
    new = torch.from_numpy(real).to(device)
    if memory is None:
        memory = Memory(DynamicCache(config=vlm.model.config.get_text_config()), new[:, :0])
    before = memory.valid.shape[1]
    memory.valid = torch.cat([memory.valid, new], 1)
    causal = torch.ones(width, before + width, dtype=torch.bool, device=device).tril(before)
    itself = torch.eye(width, before + width, dtype=torch.bool, device=device).roll(before, 1)
    hidden = vlm.hidden(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(positions).to(device),
        pictures=pictures,
        mask=memory.valid[:, None, None, :] & causal | itself,  # padding sees itself, not nothing
        cache=memory.cache,
    )
    return memory, vlm.logits(hidden[:, -1])


@dataclass(frozen=True, slots=True)
class Turns:
    """What every row said.

    Attributes:
        ids: The tokens of each row, the end-of-turn token included.
        log_probs: Of the same shape, in nats.
        read: Tokens of each row that are in the memory already: all, or all but the last.
    """

    ids: list[list[int]]
    log_probs: list[list[float]]
    read: list[int]


@torch.no_grad()
def speak(
    vlm: VisionLanguageModel,
    memory: Memory,
    logits: torch.Tensor,
    position: NDArray[np.int64],
    draws: NDArray[np.float64],
    *,
    temperature: float,
    forced: Sequence[Sequence[int]] | None = None,
    ended: Callable[[Sequence[int]], bool] | None = None,
) -> Turns:
    """Let every row say a turn.

    Args:
        vlm: The model.
        memory: What the rows have read. It is changed.
        logits: Of the first token: float32 [rows, vocabulary].
        position: Of the first token: int64 [rows].
        draws: Uniform numbers in [0, 1), one for each token: float64 [rows, most tokens].
        temperature: Of the sampling distribution; 0 takes the likeliest token, whose
            log-probability is then that at temperature 1.
        forced: Tokens that each row begins with.
        ended: Says of the tokens that a row has said of its own accord whether its turn is over
            although it has not said so.
    """
    rows, longest = draws.shape
    uniform = torch.from_numpy(draws).to(vlm.device, torch.float32)
    at = torch.from_numpy(position).to(vlm.device)
    stops = torch.tensor(sorted(vlm.stop_ids), device=vlm.device)
    script = _script(forced, rows, longest).to(vlm.device)
    speaking = torch.ones(rows, dtype=torch.bool, device=vlm.device)
    steps: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    own = _Own(forced or [()] * rows)
    for step in range(longest):
        log_probs = (logits / (temperature or 1.0)).log_softmax(-1)
        token = _sampled(log_probs, uniform[:, step]) if temperature else log_probs.argmax(-1)
        if step < script.shape[1]:
            token = torch.where(script[:, step] >= 0, script[:, step], token)
        steps.append((token, log_probs.gather(1, token[:, None])[:, 0], speaking))
        goes_on = speaking & ~torch.isin(token, stops)
        if ended is not None:
            goes_on &= own.goes_on(token, ended)
        if step + 1 == longest or not goes_on.any():
            break
        memory.valid = torch.cat([memory.valid, speaking[:, None]], 1)
        logits = _next(vlm, memory, token, at + step)
        speaking = goes_on
    return _turns(*(torch.stack(column, 1) for column in zip(*steps, strict=True)))


class _Own:
    """What every row says of its own accord.

    Args:
        forced: Tokens that each row begins with, which are not its own.
    """

    def __init__(self, forced: Sequence[Sequence[int]]) -> None:
        self.left = [len(start) for start in forced]
        self.said: list[list[int]] = [[] for _ in forced]

    def goes_on(self, token: torch.Tensor, ended: Callable[[Sequence[int]], bool]) -> torch.Tensor:
        """Take one token a row, int64 [rows]; which rows' turns are not over: bool [rows]."""
        for row, said in enumerate(token.tolist()):
            if self.left[row]:
                self.left[row] -= 1
            else:
                self.said[row].append(said)
        return ~torch.tensor([ended(said) for said in self.said], device=token.device)


def _next(
    vlm: VisionLanguageModel, memory: Memory, token: torch.Tensor, at: torch.Tensor
) -> torch.Tensor:
    """Read one token a row, which always sees itself: the logits of the next one."""
    mask = memory.valid[:, None, None, :].clone()
    mask[..., -1] = True
    position = at.expand(3, -1)[..., None]
    hidden = vlm.hidden(token[:, None], position, mask=mask, cache=memory.cache)
    return vlm.logits(hidden[:, -1])


def _turns(ids: torch.Tensor, log_probs: torch.Tensor, spoken: torch.Tensor) -> Turns:
    lengths = spoken.sum(1).tolist()
    steps = ids.shape[1]
    return Turns(
        [row[:n] for row, n in zip(ids.tolist(), lengths, strict=True)],
        [row[:n] for row, n in zip(log_probs.tolist(), lengths, strict=True)],
        [n - (n == steps) for n in lengths],  # nobody reads what was said in the last step
    )


def _script(forced: Sequence[Sequence[int]] | None, rows: int, longest: int) -> torch.Tensor:
    """Forced tokens, int64 [rows, most forced tokens]; -1 where a row is free."""
    forced = forced or [()] * rows
    script = np.full((rows, max(map(len, forced))), -1, np.int64)
    for row, ids in enumerate(forced):
        script[row, : len(ids)] = ids
    return torch.from_numpy(script[:, :longest])


def _sampled(log_probs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Inverse transform sampling: int64 [rows].

    A row's token depends on its own number alone. A forbidden token adds nothing to the cumulative
    sum, so no number falls on it.
    """
    cumulative = log_probs.exp().cumsum(-1)
    total = cumulative[:, -1:]
    point = torch.minimum(uniform[:, None] * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, point, right=True)[:, 0]
