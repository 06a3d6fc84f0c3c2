"""What a trainer gets from episodes."""

import numpy as np
import pytest
import torch

from agents import make_agent, rollout
from agents.models import VisionLanguageModel, collate, score
from agents.rollout import AgentError
from agents.tiny import TinyAgent
from tiny.games import environment, two_turns


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_are_what_was_noted(vlm: VisionLanguageModel, temperature: float) -> None:
    played = two_turns(TinyAgent(vlm, temperature=temperature))
    batch = collate(vlm, played)
    scores = score(vlm, batch, temperature=temperature)
    torch.testing.assert_close(scores.log_probs, batch.old_log_probs, atol=2e-5, rtol=0)
    assert scores.log_probs.shape == batch.mask.shape == scores.hidden.shape[:2]
    assert (scores.entropy[batch.mask] > 0).all()
    assert not scores.entropy[~batch.mask].any()
    assert not scores.hidden[~batch.mask].any()


def test_rows_hold_what_the_model_said_and_nothing_else(vlm: VisionLanguageModel) -> None:
    played = two_turns(TinyAgent(vlm, temperature=1.0))
    batch = collate(vlm, played)
    for row, episode in enumerate(played):
        said = [token for reply in episode.replies for token in reply.token_ids or ()]
        assert batch.tokens[row][batch.mask[row]].tolist() == said
        turns = [turn for turn, r in enumerate(episode.replies) for _ in r.token_ids or ()]
        assert batch.turn[row][batch.mask[row]].tolist() == turns
        assert batch.ids[row, batch.before[row, : len(said)] + 1].tolist() == said
        forced = [i < r.forced for r in episode.replies for i in range(len(r.token_ids))]
        assert batch.forced[row][batch.mask[row]].tolist() == forced


@pytest.fixture
def encoded(vlm: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the vision encoder was given."""
    calls: list[int] = []
    encode = vlm.model.get_image_features

    def counting(pixels: torch.Tensor, grids: torch.Tensor, **more: object) -> object:
        calls.append(len(grids))
        return encode(pixels, grids, **more)

    monkeypatch.setattr(vlm.model, "get_image_features", counting)
    return calls


def test_scoring_encodes_each_view_once(vlm: VisionLanguageModel, encoded: list[int]) -> None:
    batch = collate(vlm, two_turns(TinyAgent(vlm, temperature=1.0)))
    encoded.clear()
    score(vlm, batch)
    assert sum(encoded) == len(batch.views) == 8  # of four groups: the first look, and the original
    assert max(len(shown) for shown in batch.shown) == 2
    encoded.clear()
    score(vlm, batch, features=vlm.features(batch.views))
    assert sum(encoded) == 8  # what the caller has encoded is not encoded again


def test_a_rollout_encodes_each_view_once(vlm: VisionLanguageModel, encoded: list[int]) -> None:
    two_turns(TinyAgent(vlm, temperature=1.0))
    assert sum(encoded) == 8


def test_a_view_that_is_shown_again_is_not_encoded_again(
    vlm: VisionLanguageModel, encoded: list[int]
) -> None:
    first, second = collate(vlm, two_turns(TinyAgent(vlm))).views[:2]
    encoded.clear()
    shown = vlm.pictures([first, second, first, first])
    assert encoded == [2]
    alone = [vlm.pictures([view]) for view in (first, second, first, first)]
    torch.testing.assert_close(shown, torch.cat(alone))
    assert vlm.pictures([]) is None


def test_a_part_of_a_batch_scores_the_same(vlm: VisionLanguageModel) -> None:
    played = two_turns(TinyAgent(vlm, temperature=1.0))
    whole = score(vlm, collate(vlm, played)).log_probs
    part = score(vlm, collate(vlm, played[5:7])).log_probs
    torch.testing.assert_close(whole[5:7, : part.shape[1]], part, atol=2e-5, rtol=0)


def test_siblings_that_said_the_same_are_read_once(
    vlm: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = two_turns(TinyAgent(vlm, temperature=1.0))
    batch = collate(vlm, [played[0], played[5], played[0], played[5], played[0]])
    read: list[int] = []
    hidden = vlm.hidden
    monkeypatch.setattr(
        vlm, "hidden", lambda ids, *a, **k: read.append(len(ids)) or hidden(ids, *a, **k)
    )
    try:
        scores = score(vlm, batch)
        assert sum(read) == 2
        for row in (2, 4):
            torch.testing.assert_close(scores.log_probs[row], scores.log_probs[0])
        scores.log_probs.sum().backward()
        together = vlm.model.lm_head.weight.grad.clone()
        vlm.model.zero_grad()
        for row, times in ((0, 3), (5, 2)):
            alone = score(vlm, collate(vlm, [played[row]])).log_probs
            (times * alone.sum()).backward()
        torch.testing.assert_close(together, vlm.model.lm_head.weight.grad, atol=1e-3, rtol=1e-4)
    finally:
        vlm.model.zero_grad()


def test_gradients_reach_what_is_trained(vlm: VisionLanguageModel) -> None:
    batch = collate(vlm, two_turns(TinyAgent(vlm, temperature=1.0)))
    visual = vlm.model.model.visual
    try:
        score(vlm, batch).log_probs.sum().backward()
        assert visual.patch_embed.proj.weight.grad.abs().sum() > 0
        vlm.model.zero_grad()
        visual.requires_grad_(False)
        features = vlm.features(batch.views)
        assert not features.values.requires_grad
        scores = score(vlm, batch, features=features)
        (scores.log_probs.sum() + scores.entropy.sum() + scores.hidden.sum()).backward()
        assert visual.patch_embed.proj.weight.grad is None
        grads = [p.grad for p in vlm.model.parameters() if p.grad is not None]
        assert all(torch.isfinite(g).all() for g in grads)
        assert vlm.model.lm_head.weight.grad.abs().sum() > 0
    finally:
        visual.requires_grad_(True)
        vlm.model.zero_grad()


def test_episodes_without_tokens_are_refused(vlm: VisionLanguageModel) -> None:
    played = rollout(environment(1, 2), make_agent("direct"))
    with pytest.raises(AgentError, match="has no tokens"):
        collate(vlm, played)


def test_one_turn_of_one_token_is_enough(vlm: VisionLanguageModel) -> None:
    played = rollout(environment(1, 1, protocol="general"), TinyAgent(vlm, max_new_tokens=1))
    batch = collate(vlm, played)
    assert batch.tokens.shape == (1, 1)
    np.testing.assert_allclose(score(vlm, batch).log_probs.detach(), batch.old_log_probs, atol=2e-5)
