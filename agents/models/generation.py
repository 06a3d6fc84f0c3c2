"""Batched generation with a cache of keys and values that outlives a turn.

Columns of a batch are padded on the left of every chunk of text, and padding is masked, so rows
of different lengths grow together. All tensors are on the model's device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from agents.models.vlm import VisionLanguageModel

_KINDS = ("keys", "values")

Ended = Callable[[Sequence[int]], bool]
"""Whether a turn is over, from the tokens that a row generated of its own accord."""


@dataclass(slots=True)
class KVCache:
    """Keys and values of a batch of rows.

    Attributes:
        cache: Keys and values: [rows, heads, columns, size of a head] in every layer.
        valid: bool [rows, columns], false where a column is padding.
    """

    past: DynamicCache
    valid: torch.Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values."""
        tensors = (getattr(layer, kind, None) for layer in self.past.layers for kind in _KINDS)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    def take(self, rows: Sequence[int]) -> KVCache:
        """These rows in this order, each as often as it is named."""
        if list(rows) == list(range(len(self.valid))):
            return self
        index = cast("Any", torch.tensor(rows, device=self.valid.device))
        cache = copy(self.past)
        cache.layers = [_apart(layer) for layer in cache.layers]
        cache.reorder_cache(index)
        return KVCache(cache, self.valid[index])


def _apart(layer: Any) -> Any:
    """A layer's cache that can be changed alone; its tensors are shared, its tables are not."""
    made = copy(layer)
    tables = {name: dict(value) for name, value in vars(made).items() if isinstance(value, dict)}
    vars(made).update(tables)
    return made


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens that are prefilled at once.

    Attributes:
        ids: The tokens.
        positions: int64 [3, tokens].
        after: Position of the token that follows.
    """

    ids: Sequence[int]
    positions: NDArray[np.int64]
    after: int


@torch.no_grad()
def prefill(
    vlm: VisionLanguageModel,
    cache: KVCache | None,
    chunks: Sequence[Chunk],
    pictures: torch.Tensor | None,
) -> tuple[KVCache, torch.Tensor]:
    """Put a chunk of every row into the cache.

    Args:
        vlm: The model.
        cache: Of what the rows have so far; ``None`` at the beginning. It is changed.
        chunks: One a row, none of them empty.
        pictures: See :meth:`VisionLanguageModel.hidden`.

    Returns:
        The cache, and the logits of the next token: float32 [rows, vocabulary].
    """
    rows, width = len(chunks), max(len(chunk.ids) for chunk in chunks)
    ids = np.full((rows, width), vlm.tokenizer.pad_token_id, np.int64)
    positions = np.zeros((3, rows, width), np.int64)
    real = np.zeros((rows, width), bool)
    for row, chunk in enumerate(chunks):
        begin = width - len(chunk.ids)
        ids[row, begin:] = chunk.ids
        positions[:, row, begin:] = chunk.positions
        real[row, begin:] = True
    device = vlm.device
    new = torch.from_numpy(real).to(device)
    if cache is None:
        cache = KVCache(DynamicCache(config=vlm.model.config.get_text_config()), new[:, :0])
    before = cache.valid.shape[1]
    cache.valid = torch.cat([cache.valid, new], 1)
    causal = torch.ones(width, before + width, dtype=torch.bool, device=device).tril(before)
    itself = torch.eye(width, before + width, dtype=torch.bool, device=device).roll(before, 1)
    hidden = vlm.hidden(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(positions).to(device),
        pictures=pictures,
        mask=cache.valid[:, None, None, :] & causal | itself,  # padding sees itself, not nothing
        cache=cache.past,
    )
    return cache, vlm.logits(hidden[:, -1])


@dataclass(frozen=True, slots=True)
class Generated:
    """What every row generated.

    Attributes:
        ids: The tokens of each row, the end-of-turn token included.
        log_probs: Of the same shape, in nats.
        cached: Tokens of each row that are in the cache already: all, or all but the last.
        watched: For each row the probabilities, at temperature 1, of the tokens that were watched.
    """

    ids: list[list[int]]
    log_probs: list[list[float]]
    cached: list[int]
    watched: list[list[float]]


@torch.no_grad()
def decode(
    vlm: VisionLanguageModel,
    cache: KVCache,
    logits: torch.Tensor,
    position: NDArray[np.int64],
    draws: NDArray[np.float64],
    *,
    temperature: float,
    forced: Sequence[Sequence[int]] | None = None,
    ended: Sequence[Ended] | None = None,
    watch: tuple[int, Sequence[int]] = (0, ()),
) -> Generated:
    """Generate a turn for every row.

    Args:
        vlm: The model.
        cache: Of what the rows have so far. It is changed.
        logits: Of the first token: float32 [rows, vocabulary].
        position: Of the first token: int64 [rows].
        draws: Uniform numbers in [0, 1), one for each token: float64 [rows, most tokens].
        temperature: Of the sampling distribution; 0 takes the likeliest token, whose
            log-probability is then that at temperature 1.
        forced: Tokens that each row begins with.
        ended: Of each row, whether its turn is over before its end-of-turn token.
        watch: A place in the turn, and tokens whose probabilities there are told.
    """
    rows, longest = draws.shape
    uniform = torch.from_numpy(draws).to(vlm.device, torch.float32)
    at = torch.from_numpy(position).to(vlm.device)
    stops = torch.tensor(sorted(vlm.stop_ids), device=vlm.device)
    script = _script(forced, rows, longest).to(vlm.device)
    active = torch.ones(rows, dtype=torch.bool, device=vlm.device)
    steps: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    starts = [len(start) for start in forced or [()] * rows]
    own: list[list[int]] = [[] for _ in starts]
    watched: list[list[float]] = []
    for step in range(longest):
        if step == watch[0] and watch[1]:
            watched = logits.softmax(-1)[:, list(watch[1])].tolist()
        log_probs = (logits / (temperature or 1.0)).log_softmax(-1)
        token = _sampled(log_probs, uniform[:, step]) if temperature else log_probs.argmax(-1)
        if step < script.shape[1]:
            token = torch.where(script[:, step] >= 0, script[:, step], token)
        steps.append((token, log_probs.gather(1, token[:, None])[:, 0], active))
        goes_on = active & ~torch.isin(token, stops)
        for row, generated in enumerate(token.tolist() if ended else ()):
            own[row] += [generated] * (step >= starts[row])
        if ended is not None:
            over = [of(said) for of, said in zip(ended, own, strict=True)]
            goes_on &= ~torch.tensor(over, device=token.device)
        if step + 1 == longest or not goes_on.any():
            break
        cache.valid = torch.cat([cache.valid, active[:, None]], 1)
        logits = _next(vlm, cache, token, at + step)
        active = goes_on
    ids, said, spoken = (torch.stack(column, 1) for column in zip(*steps, strict=True))
    return _turns(ids, said, spoken, watched)


def _next(
    vlm: VisionLanguageModel, cache: KVCache, token: torch.Tensor, at: torch.Tensor
) -> torch.Tensor:
    """Prefill one token a row, which always sees itself: the logits of the next one."""
    mask = cache.valid[:, None, None, :].clone()
    mask[..., -1] = True
    position = at.expand(3, -1)[..., None]
    hidden = vlm.hidden(token[:, None], position, mask=mask, cache=cache.past)
    return vlm.logits(hidden[:, -1])


def _turns(
    ids: torch.Tensor,
    log_probs: torch.Tensor,
    active: torch.Tensor,
    watched: list[list[float]],
) -> Generated:
    lengths = active.sum(1).tolist()
    steps = ids.shape[1]
    return Generated(
        [row[:n] for row, n in zip(ids.tolist(), lengths, strict=True)],
        [row[:n] for row, n in zip(log_probs.tolist(), lengths, strict=True)],
        [n - (n == steps) for n in lengths],  # the last step's token is not prefilled
        watched,
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
