"""Each algorithm against the plain loops of ``algorithm_reference``, and small cases by hand."""

from dataclasses import replace
from typing import Any

import algorithm_reference as reference
import pytest
import torch
from algorithm_toys import NAMES, gradient, moved, random_batch
from torch import tensor

from trainers.algorithms import GRPO, GSPO, PPO, Batch, DrGRPO, kl, make_algorithm
from trainers.algorithms.losses import clipped_surrogate, clipped_value_error, shares


def test_reference_knows_every_algorithm() -> None:
    assert set(reference.RULES) == set(NAMES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_loss_and_gradient(name: str, seed: int) -> None:
    batch = random_batch(seed, weight=None)
    log_probs = moved(batch, seed)
    leaf = log_probs.clone().requires_grad_()
    expected = reference.loss(name, batch, leaf)
    expected.backward()
    algorithm = make_algorithm(reference.SPECS.get(name, name))
    value, found = gradient(algorithm, batch, log_probs)
    assert value == pytest.approx(expected.item(), rel=1e-9)
    torch.testing.assert_close(found, leaf.grad, rtol=1e-9, atol=1e-12)
    assert found.abs().sum() > 0


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gspo"}))
def test_token_weights_multiply_the_loss(name: str) -> None:
    batch = random_batch(4)
    log_probs = moved(batch)
    leaf = log_probs.clone().requires_grad_()
    reference.loss(name, batch, leaf).backward()
    _, found = gradient(make_algorithm(reference.SPECS.get(name, name)), batch, log_probs)
    torch.testing.assert_close(found, leaf.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_first_pass_gives_the_policy_gradient(name: str) -> None:
    """At ratio 1 the gradient is -w A, clip or not: REINFORCE with a baseline."""
    batch = random_batch(2)
    algorithm = make_algorithm(name, kl_coef=0)
    targets, _ = algorithm.targets(batch)
    _, found = gradient(algorithm, batch, batch.old_log_probs)
    expected = -(targets.weights * targets.advantages).reshape(found.shape)
    torch.testing.assert_close(found, expected)


def test_grpo_by_hand() -> None:
    """Rewards 1, 0, 0, 1: mean ½, deviation √⅓; lengths 1 and 2."""
    mask = tensor([[[1, 0], [1, 1], [1, 1], [1, 0]]]).bool()
    old = torch.zeros(1, 4, 2, dtype=torch.float64)
    batch = Batch(tensor([[1.0, 0.0, 0.0, 1.0]]).double(), mask, old)
    a = 0.5 / (1 / 3) ** 0.5
    targets, metrics = GRPO(kl_coef=0).targets(batch)
    expected = tensor([[a, 0], [-a, -a], [-a, -a], [a, 0]]).double()
    torch.testing.assert_close(targets.advantages, expected, rtol=1e-5, atol=0)
    _, found = gradient(GRPO(kl_coef=0), batch, old)
    expected = tensor([[-a / 4, 0], [a / 8, a / 8], [a / 8, a / 8], [-a / 4, 0]]).double()
    torch.testing.assert_close(found[0], expected, rtol=1e-5, atol=0)
    assert metrics["trained_tokens"] == 6
    assert metrics["groups_without_signal"] == 0


def test_kl_to_come_is_charged_after_the_group_mean() -> None:
    """Equal rewards, k1 of 1 and 2 nats on one rollout: its tokens owe 3 and 2, then whitened."""
    old = tensor([[[1.0, 2.0], [0.0, 0.0]]]).double()
    batch = Batch(
        tensor([[1.0, 1.0]]).double(), torch.ones(1, 2, 2).bool(), old, torch.zeros_like(old)
    )
    algorithm = make_algorithm(
        "reinforce++-baseline", kl_coef=1.0, kl_in="reward", kl_estimator="k1"
    )
    targets, _ = algorithm.targets(batch)
    owed = tensor([[-3.0, -2.0], [0.0, 0.0]]).double()
    torch.testing.assert_close(
        targets.advantages, (owed - owed.mean()) / owed.std(), rtol=1e-5, atol=0
    )


def test_gspo_ratio_by_hand() -> None:
    """Two own tokens around one of the environment: s = exp((0.2 - 0.6) / 2) = exp(-0.2)."""
    mask = tensor([[[1, 0, 1], [1, 1, 1]]]).bool()
    old = torch.zeros(1, 2, 3, dtype=torch.float64)
    batch = Batch(tensor([[0.0, 1.0]]).double(), mask, old)
    algorithm = GSPO(clip_low=0.5, clip_high=0.5)
    targets, _ = algorithm.targets(batch)
    leaf = tensor([[0.2, 9.0, -0.6], [0.0, 0.0, 0.0]]).double().requires_grad_()
    loss, metrics = algorithm.policy_loss(leaf, targets)
    loss.backward()
    s, a = torch.exp(tensor(-0.2)).item(), 1 / 2**0.5
    assert loss.item() == pytest.approx((s * a - a) / 2, rel=1e-5)
    assert leaf.grad is not None
    expected = [[s * a / 4, 0, s * a / 4], [-a / 6] * 3]
    torch.testing.assert_close(leaf.grad, tensor(expected).double(), rtol=1e-5, atol=0)
    assert float(metrics["ratio_mean"]) == pytest.approx((2 * s + 3) / 5, rel=1e-5)


def test_gspo_clips_whole_sequences() -> None:
    """A mean log-ratio of 5e-4 is beyond the upper bound 4e-4, whichever tokens bring it."""
    batch = Batch(
        tensor([[1.0, 0.0]]).double(),
        torch.ones(1, 2, 2).bool(),
        torch.zeros(1, 2, 2, dtype=torch.float64),
    )
    log_probs = tensor([[[1e-3, 0.0], [0.0, 0.0]]]).double()
    _, found = gradient(GSPO(), batch, log_probs)
    assert found[0, 0].tolist() == [0.0, 0.0]
    assert (found[0, 1] > 0).all()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.25, 1.0, -1.25, False),  # above 1.2, below 1.28: clip-higher lets it grow
        (1.30, 1.0, -1.28, True),
        (0.70, 1.0, -0.70, False),  # the advantage pulls it back
        (0.70, -1.0, 0.80, True),
        (1.30, -1.0, 1.30, False),
        (1.30, 0.0, 0.0, False),
    ],
)
def test_clip_higher(ratio: float, advantage: float, loss: float, clipped: bool) -> None:
    found, where = clipped_surrogate(tensor([[ratio]]), tensor([[advantage]]), 0.2, 0.28)
    assert found.item() == pytest.approx(loss)
    assert where.item() is clipped


def test_clipped_value_error() -> None:
    """From 0 to 1 with a return of 0.5: unclipped ½·0.25; clipped at 0.2, ½·0.09: the larger."""
    old, values, returns = tensor([0.0, 0.0]), tensor([1.0, 0.5]), tensor([0.5, 1.0])
    plain, _ = clipped_value_error(values, old, returns, None)
    error, clipped = clipped_value_error(values, old, returns, 0.2)
    torch.testing.assert_close(plain, tensor([0.125, 0.125]))
    torch.testing.assert_close(error, tensor([0.125, 0.32]))
    assert clipped.tolist() == [False, True]


def test_shares_sum_as_their_names_say() -> None:
    trained = tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    token = shares(trained, "token_mean", 8)
    sequence = shares(trained, "sequence_mean", 8)
    constant = shares(trained, "constant", 8)
    torch.testing.assert_close(token.sum(-1), tensor([0.8, 0.2, 0.0]))
    torch.testing.assert_close(sequence.sum(-1), tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(constant.sum(-1), tensor([4 / 16, 1 / 16, 0.0]))


def test_dr_grpo_divides_by_its_horizon_whatever_the_lengths() -> None:
    batch = random_batch(0)
    _, one = gradient(DrGRPO(horizon=10), batch, batch.old_log_probs)
    _, two = gradient(DrGRPO(horizon=20), batch, batch.old_log_probs)
    torch.testing.assert_close(one, 2 * two)


def test_kl_estimators_average_to_the_divergence() -> None:
    """Over the policy's own tokens k1 and k3 are unbiased; k3's gradient is that of the reverse."""
    logits = tensor([0.1, 1.0, -0.5]).double().requires_grad_()
    log_ref = tensor([0.3, 0.2, 0.1]).double().log_softmax(-1)
    log_pi = logits.log_softmax(-1)
    pi = log_pi.detach().exp()
    forward = (log_pi.exp() * (log_pi - log_ref)).sum()
    reverse = (log_ref.exp() * (log_ref - log_pi)).sum()
    for estimator in ("k1", "k3"):
        assert (pi * kl(log_pi, log_ref, estimator)).sum().item() == pytest.approx(forward.item())

    def slope(value: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    torch.testing.assert_close(slope((pi * kl(log_pi, log_ref, "k2")).sum()), slope(forward))
    torch.testing.assert_close(slope((pi * kl(log_pi, log_ref, "k3")).sum()), slope(reverse))
    assert slope((pi * kl(log_pi, log_ref, "k1")).sum()).abs().max() < 1e-12

    def as_reward(estimator: Any) -> torch.Tensor:
        return slope((pi * log_pi * kl(log_pi, log_ref, estimator).detach()).sum())

    torch.testing.assert_close(as_reward("k1"), slope(forward))
    torch.testing.assert_close(as_reward("k3"), slope(forward) - slope(reverse))


def test_value_loss_and_gradient() -> None:
    batch = random_batch(3)
    algorithm = PPO(value_clip=None, value_coef=0.5)
    targets, metrics = algorithm.targets(batch)
    assert targets.returns is not None
    values = torch.zeros_like(targets.returns, requires_grad=True)
    loss, _ = algorithm.value_loss(values, targets)
    loss.backward()
    assert batch.forced is not None
    learnt = (batch.mask & batch.scored.unsqueeze(-1) & ~batch.forced).flatten(0, 1)
    expected = 0.5 * torch.where(learnt, -targets.returns, 0) / learnt.sum()
    torch.testing.assert_close(values.grad, expected)
    assert metrics["explained_variance"] < 1


def test_returns_are_not_whitened() -> None:
    batch = random_batch(3)
    plain, _ = PPO(whiten=False).targets(batch)
    white, _ = PPO().targets(batch)
    torch.testing.assert_close(plain.returns, white.returns)
    chosen = white.advantages[white.mask & batch.scored.flatten().unsqueeze(-1)]
    assert chosen.mean().abs() < 1e-9
    assert chosen.std().item() == pytest.approx(1, rel=1e-5)


def test_half_precision_is_widened() -> None:
    batch = random_batch(0)
    half = replace(batch, old_log_probs=batch.old_log_probs.bfloat16(), weight=None)
    targets, _ = GRPO(kl_coef=0).targets(half)
    log_probs = half.old_log_probs.flatten(0, 1).requires_grad_()
    loss, _ = GRPO(kl_coef=0).policy_loss(log_probs, targets)
    assert loss.dtype in (torch.float32, torch.float64)
    loss.backward()
