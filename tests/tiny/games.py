"""Games for tests of models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from agents import Conversation, Episode, Reply, rollout
from agents.models import VisionLanguageModel
from agents.tiny.tokenizer import call_turn, make_tokenizer
from agents.transformers import TransformersAgent
from vt_env.vector import VisionThinkVectorEnv

FORBIDDEN = set(
    make_tokenizer().convert_tokens_to_ids(
        [
            "<|image_pad|>",
            "<|video_pad|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|vision_pad|>",
            "<|endoftext|>",
            "<|unknown|>",
        ]
    )
)


class Forced:
    """An agent whose first turns begin as a rule says, by their place in the first batch."""

    name = "forced"

    def __init__(self, agent: TransformersAgent, rule: Callable[[int], str | None]) -> None:
        self.agent = agent
        self.rule = rule

    def act(self, conversations: Sequence[Conversation]) -> list[Reply]:
        forced = [self.rule(i) if c.turn == 0 else None for i, c in enumerate(conversations)]
        return self.agent.act(conversations, forced)


def environment(groups: int = 4, group_size: int = 4, **settings: Any) -> VisionThinkVectorEnv:
    settings = {"data": "generated:n=64,kinds=laptop", "prompt": "tiny", **settings}
    return VisionThinkVectorEnv(groups * group_size, group_size=group_size, **settings)


def two_turns(agent: TransformersAgent, seed: int = 3, **settings: Any) -> list[Episode]:
    """Three of four rollouts ask: two end their turn, one is cut off at 16 tokens."""
    asks = (
        None,
        call_turn() + "<|im_end|>",
        call_turn() + " is" * 6,
        call_turn() + " is<|im_end|>",
    )
    played = rollout(
        environment(**settings), Forced(agent, lambda i: asks[i % len(asks)]), seed=seed
    )
    assert sum(episode.outcome.requested for episode in played) >= len(played) * 3 // 4
    return played


def uncached(vlm: VisionLanguageModel, episode: Episode, temperature: float) -> list[float]:
    """Log-probabilities of what was said, from the stock model's own forward pass."""
    ids, said = [], []
    for reply in episode.replies:
        assert reply.prompt_ids is not None
        assert reply.token_ids is not None
        ids += [*reply.prompt_ids, *reply.token_ids]
        said += [False] * len(reply.prompt_ids) + [True] * len(reply.token_ids)
    pictures = vlm.image_processor([v.image for v in episode.views], return_tensors="pt")
    sequence = torch.tensor([ids])
    vlm.model.model.rope_deltas = None
    with torch.no_grad():
        logits = vlm.model(
            input_ids=sequence,
            attention_mask=torch.ones_like(sequence),
            mm_token_type_ids=(sequence == vlm.image_id).int(),
            **pictures,
        ).logits[0]
    logits[:, sorted(FORBIDDEN)] = -torch.inf
    scores = (logits / temperature).log_softmax(-1)
    return [float(scores[i - 1, ids[i]]) for i in range(len(ids)) if said[i]]


def log_probs(episode: Episode) -> list[float]:
    return [p for reply in episode.replies for p in reply.log_probs or ()]
