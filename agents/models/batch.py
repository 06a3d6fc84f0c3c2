"""Episodes as tensors, and the model's view of them: what a trainer needs.

Two layouts. *Sequences* are what the model reads: prompts, pictures and turns of an episode one
after the other, [episodes, columns], padded on the right. *Generated* tokens alone, of all turns of
an episode one after the other, are what losses are about: [episodes, tokens], padded on the right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from agents.base import Reply
from agents.models.vlm import Features, VisionLanguageModel
from agents.rollout import AgentError
from vt_env.pictures import View


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Episodes as tensors, on the model's device.

    Attributes:
        tokens: Generated tokens: int64 [episodes, tokens], 0 where there is none.
        mask: Where there is one: bool [episodes, tokens].
        old_log_probs: As noted when they were generated: float32 [episodes, tokens], else 0.
        forced: Tokens that the agent was made to say: bool [episodes, tokens].
        turn: Each token's turn: int64 [episodes, tokens].
        ids: The sequences: int64 [episodes, columns].
        positions: int64 [3, episodes, columns].
        before: The column before each generated token, whose hidden state predicts it:
            int64 [episodes, tokens].
        views: The distinct views of the batch.
        shown: For each sequence, which views its pictures are.
        lengths: Of the sequences, in columns.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    old_log_probs: torch.Tensor
    forced: torch.Tensor
    turn: torch.Tensor
    ids: torch.Tensor
    positions: torch.Tensor
    before: torch.Tensor
    views: Sequence[View]
    shown: Sequence[Sequence[int]]
    lengths: Sequence[int]


@dataclass(frozen=True, slots=True)
class Scores:
    """What the model makes of the generated tokens.

    Attributes:
        log_probs: Of each token under the sampling distribution, in nats: float32
            [episodes, tokens], 0 where there is none.
        entropy: Of the distribution that each token was drawn from: float32 [episodes, tokens],
            else 0.
        hidden: The hidden state that predicted each token, e.g. for a value head:
            [episodes, tokens, width], else 0.
    """

    log_probs: torch.Tensor
    entropy: torch.Tensor
    hidden: torch.Tensor


class Trajectory(Protocol):
    """What of an episode its tokens are made of."""

    @property
    def replies(self) -> Sequence[Reply]:
        """The agent's turns."""
        ...

    @property
    def views(self) -> Sequence[View]:
        """The pictures shown, in order."""
        ...


def collate(vlm: VisionLanguageModel, episodes: Sequence[Trajectory]) -> TokenBatch:
    """Episodes that this model played, exactly as it read and said them.

    Args:
        vlm: The model that played, or one of the same family and tokenizer.
        episodes: One or more :class:`agents.Episode`, or whatever has as much of one. Siblings
            share views, and each view is encoded once.

    Raises:
        AgentError: If an episode has no tokens, because no model of this kind played it.
    """
    views: dict[int, int] = {}
    distinct: list[View] = []
    shown: list[list[int]] = []
    rows = [_row(vlm, episode) for episode in episodes]
    for episode in episodes:
        for view in episode.views:
            if id(view) not in views:
                views[id(view)] = len(distinct)
                distinct.append(view)
        shown.append([views[id(view)] for view in episode.views])
    device = vlm.device
    filled = _filled([len(row.ids) for row in rows])
    mask = _filled([len(row.tokens) for row in rows])

    def padded(name: str, where: torch.Tensor, dtype: torch.dtype, fill: int = 0) -> torch.Tensor:
        values = [value for row in rows for value in getattr(row, name)]
        made = torch.full(where.shape, fill, dtype=dtype)
        made[where] = torch.tensor(values, dtype=dtype)
        return made.to(device)

    at = torch.zeros(3, *filled.shape, dtype=torch.int64)
    at[:, filled] = torch.from_numpy(np.concatenate([row.positions for row in rows], 1))
    return TokenBatch(
        tokens=padded("tokens", mask, torch.int64),
        mask=mask.to(device),
        old_log_probs=padded("log_probs", mask, torch.float32),
        forced=padded("forced", mask, torch.bool),
        turn=padded("turn", mask, torch.int64),
        ids=padded("ids", filled, torch.int64, vlm.tokenizer.pad_token_id),
        positions=at.to(device),
        before=padded("before", mask, torch.int64),
        views=distinct,
        shown=shown,
        lengths=[len(row.ids) for row in rows],
    )


def _filled(lengths: Sequence[int]) -> torch.Tensor:
    """Where rows of these lengths have something: bool [rows, longest]."""
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@dataclass(frozen=True, slots=True)
class _Row:
    ids: list[int]
    positions: np.ndarray
    tokens: list[int]
    log_probs: list[float]
    forced: list[bool]
    turn: list[int]
    before: list[int]


def _row(vlm: VisionLanguageModel, episode: Trajectory) -> _Row:
    row = _Row([], np.empty(0), [], [], [], [], [])
    for turn, reply in enumerate(episode.replies):
        if reply.prompt_ids is None or reply.token_ids is None or reply.log_probs is None:
            raise AgentError(
                f"turn {turn + 1} of an episode has no tokens: {reply.text!r:.60}; only an agent "
                "that is a model here (transformers, tiny) can be trained here"
            )
        number, forced = len(reply.token_ids), reply.forced
        row.ids.extend(reply.prompt_ids)
        row.before.extend(range(len(row.ids) - 1, len(row.ids) - 1 + number))
        row.ids.extend(reply.token_ids)
        row.tokens.extend(reply.token_ids)
        row.log_probs.extend(reply.log_probs)
        row.forced.extend(index < forced for index in range(number))
        row.turn.extend([turn] * number)
    made, _ = vlm.positions(row.ids, episode.views)
    return _Row(row.ids, made, row.tokens, row.log_probs, row.forced, row.turn, row.before)


def score(
    vlm: VisionLanguageModel,
    batch: TokenBatch,
    *,
    temperature: float = 1.0,
    features: Features | None = None,
) -> Scores:
    """One differentiable forward pass over whole sequences.

    Args:
        vlm: The model.
        batch: From :func:`collate`.
        temperature: Of the sampling distribution; with 0 the log-probabilities are those at 1.
        features: ``vlm.features(batch.views)``, where the caller has them already: a frozen vision
            encoder gives policy and reference the same.

    Returns:
        Scores at the generated tokens; those that the model may not say have no probability.
    """
    features = features if features is not None else vlm.features(batch.views)
    alike = _alike(batch)
    buckets = _buckets({row: batch.lengths[row] for row in alike})
    passes = [_states(vlm, batch, features, {row: alike[row] for row in rows}) for rows in buckets]
    states = torch.cat([states for states, _ in passes])
    rows, tokens = torch.cat([places for _, places in passes]).unbind(1)
    log_probs = (vlm.logits(states) / (temperature or 1.0)).log_softmax(-1)
    log_prob = log_probs.gather(1, batch.tokens[rows, tokens, None])[:, 0]
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    empty = log_probs.new_zeros(batch.mask.shape)
    return Scores(
        log_probs=empty.index_put((rows, tokens), log_prob),
        entropy=empty.index_put((rows, tokens), entropy),
        hidden=states.new_zeros(*batch.mask.shape, states.shape[-1]).index_put(
            (rows, tokens), states
        ),
    )


def _alike(batch: TokenBatch) -> dict[int, list[int]]:
    """Each distinct sequence's first row, with all rows that it stands in.

    Siblings often say the same where turns are short.
    """
    rows: dict[tuple[Any, ...], list[int]] = {}
    for row, (ids, shown) in enumerate(zip(batch.ids.tolist(), batch.shown, strict=True)):
        rows.setdefault((*ids, *shown), []).append(row)
    return {alike[0]: alike for alike in rows.values()}


def _states(
    vlm: VisionLanguageModel,
    batch: TokenBatch,
    features: Features,
    alike: Mapping[int, Sequence[int]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read some distinct sequences.

    Returns:
        The hidden states that predict the generated tokens of all rows that these sequences stand
        in, [tokens of these rows, width], and where those stand: int64 [tokens of these rows, 2],
        row and token.
    """
    index = torch.tensor(list(alike), device=batch.ids.device)
    columns = max(batch.lengths[row] for row in alike)
    states = vlm.hidden(
        batch.ids[index, :columns],
        batch.positions[:, index, :columns],
        pictures=features.gather([view for row in alike for view in batch.shown[row]]),
    )
    stands = [(place, row) for place, rows in enumerate(alike.values()) for row in rows]
    places, rows = torch.tensor(stands, device=index.device).unbind(1)
    within, tokens = batch.mask[rows].nonzero(as_tuple=True)
    of = rows[within]
    return states[places[within], batch.before[of, tokens]], torch.stack([of, tokens], 1)


def _buckets(lengths: Mapping[int, int]) -> list[list[int]]:
    """Rows by similar length, so that short ones are not padded to the longest.

    A direct answer is half as long as an answer after a request.
    """
    buckets: list[list[int]] = [[]]
    for row in sorted(lengths, key=lengths.__getitem__):
        if buckets[-1] and lengths[row] > 1.25 * lengths[buckets[-1][0]]:
            buckets.append([])
        buckets[-1].append(row)
    return buckets
