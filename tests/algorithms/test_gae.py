"""Generalised advantage estimation where the environment speaks between the policy's tokens."""

import pytest
import torch
from algorithm_toys import random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import tensor

from trainers.algorithms import PPO
from trainers.algorithms.advantages import gae, token_rewards

UNIT = st.floats(0, 1)


def test_by_hand() -> None:
    """γ = 0.5, λ = 0.5, values 1, 2, reward 4 at the end, one token of the environment between.

    The last token has 4 - 2 = 2, the first 0 + 0.5 · 2 - 1 + 0.25 · 2 = 0.5.
    """
    rewards, values = tensor([[0.0, 9.0, 4.0]]), tensor([[1.0, 9.0, 2.0]])
    mask = tensor([[True, False, True]])
    advantages, returns = gae(rewards, values, mask, 0.5, 0.5)
    assert advantages.tolist() == [[0.5, 0.0, 2.0]]
    assert returns.tolist() == [[1.5, 0.0, 4.0]]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), UNIT, UNIT)
def test_environment_tokens_are_as_if_they_were_not_there(
    seed: int, discount: float, decay: float
) -> None:
    """Zeroing their values, or decaying over them, differs from this as soon as λ < 1."""
    batch = random_batch(seed, groups=1, rollouts=3)
    assert batch.values is not None
    rewards = token_rewards(batch, torch.zeros_like(batch.old_log_probs))
    found, returns = gae(rewards, batch.values, batch.mask, discount, decay)
    for r in range(3):
        own = batch.mask[0, r]
        short, short_returns = gae(
            rewards[0, r, own], batch.values[0, r, own], own[own], discount, decay
        )
        torch.testing.assert_close(found[0, r, own], short)
        torch.testing.assert_close(returns[0, r, own], short_returns)
        assert not found[0, r, ~own].any()


def test_without_values_and_decay_it_is_the_return() -> None:
    batch = random_batch(0, values=torch.zeros(3, 5, 8).double())
    targets, _ = PPO(decay=1, whiten=False).targets(batch)
    rewards = batch.rewards.nan_to_num().flatten().unsqueeze(-1) * targets.mask
    torch.testing.assert_close(targets.advantages, rewards)
    torch.testing.assert_close(targets.returns, rewards)


def test_decay_zero_is_the_one_step_error() -> None:
    values = tensor([[1.0, 2.0, 3.0]])
    advantages, _ = gae(torch.zeros(1, 3), values, torch.ones(1, 3).bool(), 1.0, 0.0)
    assert advantages.tolist() == [[1.0, 1.0, -3.0]]


def test_perfect_critic_has_no_advantage() -> None:
    batch = random_batch(0)
    values = batch.rewards.nan_to_num().unsqueeze(-1).expand(3, 5, 8).clone()
    targets, metrics = PPO(whiten=False).targets(random_batch(0, values=values))
    assert targets.advantages.abs().max() < 1e-12
    assert metrics["explained_variance"] == pytest.approx(1)


def test_reward_falls_on_the_last_own_token() -> None:
    batch = random_batch(0)
    rewards = token_rewards(batch, torch.zeros_like(batch.old_log_probs))
    for g in range(3):
        for r in range(5):
            own = batch.mask[g, r].nonzero().squeeze(-1)
            expected = torch.zeros(8).double()
            expected[own[-1]] = batch.rewards[g, r].nan_to_num()
            torch.testing.assert_close(rewards[g, r], expected)
