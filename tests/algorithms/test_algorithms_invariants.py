"""What must hold for any batch: splits, padding, order, unscored rollouts, probes."""

from dataclasses import fields, replace

import pytest
import torch
from algorithm_toys import FIELDS, NAMES, gradient, moved, random_batch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, tensor

from trainers.algorithms import (
    ALGORITHMS,
    DAPO,
    GRPO,
    PPO,
    RLOO,
    Batch,
    DrGRPO,
    has_signal,
    make_algorithm,
)
from trainers.algorithms import merge_metrics as merge

CLOSE = {"rtol": 1e-9, "atol": 1e-12}
GROUPWISE = ("dapo", "dr_grpo", "grpo", "gspo", "rloo")
every = pytest.mark.parametrize("name", ALGORITHMS.names())


def algorithm_with_kl(name: str):
    """KL on, so that nothing is tested against zero."""
    return make_algorithm(name, kl_coef=0.1)


def reordered(batch: Batch, order: Tensor, dim: int) -> Batch:
    chosen = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return Batch(**{k: v.index_select(dim, order) for k, v in chosen.items() if v is not None})


@every
@pytest.mark.parametrize("size", [1, 4, 100])
def test_slices_add_up_to_the_full_batch(name: str, size: int) -> None:
    batch = random_batch(1)
    algorithm = algorithm_with_kl(name)
    loss, whole = gradient(algorithm, batch, moved(batch))
    part_loss, parts = gradient(algorithm, batch, moved(batch), size)
    assert part_loss == pytest.approx(loss, rel=1e-9)
    torch.testing.assert_close(parts, whole, **CLOSE)


@every
def test_metrics_of_slices_merge(name: str) -> None:
    batch = random_batch(1)
    algorithm = algorithm_with_kl(name)
    targets, _ = algorithm.targets(batch)
    log_probs = moved(batch).flatten(0, 1)
    parts = [algorithm.policy_loss(log_probs[p.index], p)[1] for p in targets.split(4)]
    whole = algorithm.policy_loss(log_probs, targets)[1]
    assert whole["tokens"] > 0
    assert merge(parts) == pytest.approx(floats(whole), rel=1e-9)


def floats(metrics):
    return {name: float(value) for name, value in metrics.items()}


def test_metrics_of_nothing() -> None:
    assert merge([]) == {}
    nothing = {"tokens": tensor(0), "clip_fraction": tensor(0.0), "ratio_max": tensor(0.0)}
    assert merge([nothing, nothing]) == {"tokens": 0, "clip_fraction": 0, "ratio_max": 0}
    one = {"tokens": tensor(3), "clip_fraction": tensor(0.5), "ratio_max": tensor(1.5)}
    assert merge([nothing, one]) == floats(one)


def test_a_critics_metrics_merge_by_its_own_tokens() -> None:
    batch = random_batch(1)
    algorithm = PPO(kl_coef=0.1, forced="always", value_clip=0.1)
    targets, _ = algorithm.targets(batch)
    log_probs = moved(batch).flatten(0, 1)
    values = targets.values + torch.linspace(-1, 1, targets.values.numel()).view_as(targets.values)

    def metrics(part):
        _, policy = algorithm.policy_loss(log_probs[part.index], part)
        return policy | algorithm.value_loss(values[part.index], part)[1]

    parts = [metrics(part) for part in targets.split(4)]
    shares = {float(part["value_tokens"] / part["tokens"]) for part in parts}
    assert len(shares) > 1  # else any weights would do
    assert 0 < metrics(targets)["value_clip_fraction"] < 1
    assert merge(parts) == pytest.approx(floats(metrics(targets)), rel=1e-9)


@every
@pytest.mark.parametrize("dim", [0, 1], ids=["groups", "rollouts"])
def test_order_does_not_matter(name: str, dim: int) -> None:
    batch = random_batch(2)
    algorithm = algorithm_with_kl(name)
    _, straight = gradient(algorithm, batch, moved(batch))
    order = torch.arange(batch.mask.shape[dim]).flip(0)
    _, turned = gradient(
        algorithm, reordered(batch, order, dim), moved(batch).index_select(dim, order)
    )
    torch.testing.assert_close(turned, straight.index_select(dim, order), **CLOSE)


def padded(batch: Batch, rollouts: int, front: int, back: int) -> Batch:
    """More rollouts without tokens, and masked positions that hold rubbish, on either side."""
    larger = {}
    for field in fields(batch):
        old = getattr(batch, field.name)
        rubbish = old.dtype != torch.bool
        if old.dim() == 2:
            filler = torch.nan if field.name in ("rewards", "tool") else False
            new = torch.nn.functional.pad(old, (0, rollouts), value=filler)
        else:
            filler = torch.nan if rubbish else field.name == "forced"
            new = torch.nn.functional.pad(old, (front, back, 0, rollouts), value=filler)
        larger[field.name] = new
    return Batch(**larger)


@every
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(0, 50))
def test_padding_does_not_matter(
    name: str, rollouts: int, front: int, back: int, seed: int
) -> None:
    batch = random_batch(seed)
    algorithm = algorithm_with_kl(name)
    loss, plain = gradient(algorithm, batch, moved(batch))
    size = (front, back, 0, rollouts)
    log_probs = torch.nn.functional.pad(moved(batch), size, value=torch.nan)
    padded_loss, found = gradient(algorithm, padded(batch, rollouts, front, back), log_probs)
    _, own, tokens = batch.mask.shape
    assert padded_loss == pytest.approx(loss, rel=1e-9)
    torch.testing.assert_close(found[:, :own, front : front + tokens], plain, **CLOSE)
    assert found.count_nonzero() == plain.count_nonzero()


@every
def test_padding_that_carries_a_reward_counts_nowhere(name: str) -> None:
    batch = random_batch(1)
    larger = padded(batch, 1, 0, 0)
    larger.rewards[:, -1] = 100.0
    algorithm = algorithm_with_kl(name)
    log_probs = torch.nn.functional.pad(moved(batch), (0, 0, 0, 1), value=0.0)
    _, plain = gradient(algorithm, batch, moved(batch))
    _, found = gradient(algorithm, larger, log_probs)
    torch.testing.assert_close(found[:, :-1], plain, **CLOSE)


@every
def test_unscored_rollouts_change_nothing(name: str) -> None:
    """An unscored rollout has no gradient, and without it the others' is the same."""
    batch = random_batch(5, groups=1)
    algorithm = algorithm_with_kl(name)
    targets, metrics = algorithm.targets(batch)
    _, with_it = gradient(algorithm, batch, moved(batch))
    assert metrics["unscored"] == batch.unscored.sum() > 0
    scored = batch.scored[0].nonzero().squeeze(-1)
    without = reordered(batch, scored, 1)
    _, alone = gradient(algorithm, without, moved(batch).index_select(1, scored))
    torch.testing.assert_close(with_it.index_select(1, scored), alone, **CLOSE)
    assert not with_it[batch.unscored].any()
    assert not targets.critic[batch.unscored.flatten()].any()


@every
def test_nothing_scored_is_no_gradient(name: str) -> None:
    batch = random_batch(0, rewards=torch.full((3, 5), torch.nan).double())
    loss, found = gradient(algorithm_with_kl(name), batch, moved(batch))
    assert loss == 0
    assert not found.any()
    targets, _ = algorithm_with_kl(name).targets(batch)
    assert len(targets.active()) == 0
    assert list(algorithm_with_kl(name).minibatches(targets, 3)) == []


@pytest.mark.parametrize("name", GROUPWISE)
def test_equal_rewards_give_zero_exactly(name: str) -> None:
    """0.1 + 0.2 and 0.3 are the same reward; divided by their deviation they were not."""
    rewards = tensor([[0.1 + 0.2, 0.3, 0.3], [1.4, 1.4, 1.4], [0.0, 0.0, 0.0]], dtype=torch.float64)
    assert rewards[0, 0] != rewards[0, 1]
    batch = random_batch(0, 3, 3, rewards=rewards)
    targets, metrics = make_algorithm(name, kl_coef=0).targets(batch)
    assert not targets.advantages.any()
    assert metrics["groups_without_signal"] == 1


def test_equal_rewards_in_the_whole_batch_give_the_global_estimators_zero() -> None:
    rewards = torch.full((3, 5), 0.3, dtype=torch.float64)
    rewards[0] = 0.1 + 0.2
    batch = random_batch(0, rewards=rewards)
    for name in ("reinforce++", "reinforce++-baseline"):
        targets, _ = make_algorithm(name).targets(batch)
        assert not targets.advantages.any()


def test_a_lone_scored_rollout_has_nothing_to_be_compared_with() -> None:
    rewards = tensor([[1.0, torch.nan], [1.0, 0.0]]).double()
    batch = random_batch(0, 2, 2, rewards=rewards, forced=None)
    assert has_signal(batch).tolist() == [False, True]
    for name in GROUPWISE:
        targets, _ = make_algorithm(name).targets(batch)
        assert not targets.advantages[:2].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_rloo_is_grpo_without_deviation_times_a_factor(seed: int, rollouts: int) -> None:
    batch = random_batch(seed, rollouts=rollouts)
    one, _ = RLOO().targets(batch)
    centred, _ = DrGRPO().targets(batch)
    n = batch.scored.sum(-1, keepdim=True).expand(batch.rewards.shape).flatten()
    factor = n.double() / (n - 1).clamp(min=1)
    torch.testing.assert_close(one.advantages, centred.advantages * factor.unsqueeze(-1), **CLOSE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 10))
def test_rewards_may_be_shifted_and_scaled(seed: int, shift: float, scale: float) -> None:
    """Group advantages know no zero point; GRPO's know no unit either."""
    batch = random_batch(seed)
    other = replace(batch, rewards=batch.rewards * scale + shift)
    for name, unit in (("grpo", 1.0), ("dr_grpo", scale), ("rloo", scale)):
        plain, _ = make_algorithm(name).targets(batch)
        found, _ = make_algorithm(name).targets(other)
        torch.testing.assert_close(
            found.advantages, unit * plain.advantages, rtol=1e-4, atol=1e-6 * scale
        )


def test_dynamic_sampling_counts_dropped_groups_nowhere() -> None:
    batch = random_batch(1)
    assert has_signal(batch).tolist() == [True, False, True]
    _, with_it = gradient(DAPO(kl_coef=0.1), batch, moved(batch))
    kept = tensor([0, 2])
    _, without = gradient(
        DAPO(kl_coef=0.1), reordered(batch, kept, 0), moved(batch).index_select(0, kept)
    )
    assert not with_it[1].any()
    torch.testing.assert_close(with_it[kept], without, **CLOSE)
    assert gradient(GRPO(kl_coef=0.1), batch, moved(batch))[1][1].any()


def test_cut_off_rollouts_are_masked_but_still_compared_with() -> None:
    truncated = torch.zeros(3, 5).bool()
    truncated[0, 0] = True
    batch = random_batch(1, truncated=truncated, forced=None)
    whole, _ = DAPO(mask_truncated=False).targets(batch)
    masked, metrics = DAPO().targets(batch)
    torch.testing.assert_close(masked.advantages, whole.advantages)
    assert not masked.trained[0].any()
    assert whole.trained[0].any()
    assert metrics["truncated"] == pytest.approx(1 / 15)
    ppo, _ = PPO(mask_truncated=True).targets(batch)
    assert not ppo.critic[0].any()


@every
def test_forced_tokens_are_trained_on_where_they_paid(name: str) -> None:
    batch = random_batch(6, groups=4)
    assert batch.forced is not None
    forced = batch.forced.flatten(0, 1)
    usable = (batch.mask & batch.scored.unsqueeze(-1)).flatten(0, 1)
    plain = {"drop_without_signal": False, "mask_truncated": False}
    found = {
        rule: make_algorithm(name, forced=rule, **plain).targets(batch)[0]
        for rule in ("positive", "always", "never")
    }
    positive = found["positive"].advantages > 0
    assert found["positive"].trained.equal(usable & (~forced | positive))
    assert found["always"].trained.equal(usable)
    assert found["never"].trained.equal(usable & ~forced)
    assert (forced & usable & positive).any()
    assert not (found["positive"].critic & forced).any()


@every
def test_minibatches_hold_each_live_rollout_once_and_are_normalised(name: str) -> None:
    batch = random_batch(1, weight=None)
    algorithm = make_algorithm(name)
    targets, _ = algorithm.targets(batch)
    generator = torch.Generator().manual_seed(0)
    parts = list(algorithm.minibatches(targets, 3, generator))
    seen = torch.cat([part.index for part in parts])
    assert sorted(seen.tolist()) == targets.active().index.tolist()
    assert seen.tolist() != sorted(seen.tolist())
    for part in parts:
        if algorithm.aggregation != "constant":
            assert part.weights.sum().item() == pytest.approx(2 if name == "dtpo" else 1)  # by turn
        if part.critic.any():
            assert part.value_weights.sum().item() == pytest.approx(1)
    assert len(list(algorithm.minibatches(targets, 100))) == len(targets.active())


def test_rollouts_of_the_critic_alone_stay_in_the_minibatches() -> None:
    """A group without signal is nothing to the policy, and still something to the critic."""
    algorithm = PPO(drop_without_signal=True)
    targets, _ = algorithm.targets(random_batch(1))
    live = targets.active()
    assert (~live.trained.any(-1) & live.critic.any(-1)).any()


def test_clip_fraction_and_ratios_of_the_log() -> None:
    old = torch.zeros(1, 2, 2).double()
    batch = Batch(tensor([[1.0, 0.0]]).double(), torch.ones(1, 2, 2).bool(), old)
    algorithm = GRPO(kl_coef=0)
    targets, _ = algorithm.targets(batch)
    log_probs = tensor([[0.5, 0.1], [0.5, 0.0]]).double()
    _, metrics = algorithm.policy_loss(log_probs, targets)
    assert metrics["clip_fraction"].item() == 0.25
    assert metrics["ratio_max"].item() == pytest.approx(torch.tensor(0.5).exp().item())
    assert metrics["tokens"].item() == 4
    assert metrics["old_kl"].item() > 0


def test_an_absurd_ratio_leaves_the_gradient_finite() -> None:
    """exp overflows in float32 above 88 nats; a drifted engine has been seen there."""
    old = torch.full((1, 2, 1), -200.0)
    batch = Batch(tensor([[1.0, 0.0]]), torch.ones(1, 2, 1).bool(), old)
    for name in ("grpo", "gspo"):
        loss, found = gradient(make_algorithm(name, kl_coef=0), batch, torch.zeros(1, 2, 1))
        assert torch.isfinite(found).all()
        assert abs(loss) < float("inf")


def test_the_batch_is_left_as_it_was() -> None:
    batch = random_batch(0)
    before = {name: getattr(batch, name).clone() for name in FIELDS}
    for name in NAMES:
        gradient(algorithm_with_kl(name), batch, moved(batch))
    for name, tensor_before in before.items():
        torch.testing.assert_close(getattr(batch, name), tensor_before, equal_nan=True)
