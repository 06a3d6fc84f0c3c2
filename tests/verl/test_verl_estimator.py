"""Advantages as verl asks for them, and a step that verl's own loss takes with them."""

from __future__ import annotations

import math

import numpy as np
import pytest

core_algos = pytest.importorskip("verl.trainer.ppo.core_algos", reason="verl is not installed")
torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from trainers.algorithms import Batch, make_algorithm  # noqa: E402
from trainers.verl.flags import ALGORITHMS, estimator_of  # noqa: E402
from trainers.verl.hooks import advantages  # noqa: E402


def verls(name, rewards, mask, index):
    """verl's call of an estimator; rewards stand at the last token."""
    estimate = core_algos.get_adv_estimator_fn(name)
    token_level = torch.zeros(mask.shape)
    token_level[:, -1] = torch.tensor(rewards)
    made, returns = estimate(
        token_level_rewards=token_level,
        response_mask=mask,
        index=np.array(index, dtype=object),
        config=None,
    )
    assert torch.equal(made, returns)
    return made


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_without_a_critic_is_there(name):
    mask = torch.ones(4, 3, dtype=torch.long)
    made = verls(estimator_of(name), [1.0, 0.0, 0.5, 0.0], mask, ["a", "a", "b", "b"])
    batch = Batch(
        rewards=torch.tensor([[1.0, 0.0], [0.5, 0.0]]),
        mask=torch.ones(2, 2, 3, dtype=torch.bool),
        old_log_probs=torch.zeros(2, 2, 3),
    )
    expected, _ = make_algorithm(name, kl_coef=0.0, mask_truncated=False).targets(batch)
    assert torch.allclose(made, expected.advantages)


def test_a_mean_over_rollouts_is_one_over_those_that_are_trained_on():
    """verl divides by all four; the advantages of the three that are scored make up for it."""
    mask, rewards = torch.tensor([[1, 1], [1, 1], [0, 0], [1, 0]]), [1.0, 0.0, 0.5, 1.0]
    of_tokens, of_rollouts = (
        verls(estimator_of("grpo", over_rollouts=over), rewards, mask, ["a"] * 4)
        for over in (False, True)
    )
    assert torch.allclose(of_rollouts, of_tokens * 4 / 3)
    assert not verls(
        estimator_of("grpo", over_rollouts=True), rewards, torch.zeros_like(mask), ["a"] * 4
    ).any()


def test_it_is_verls_grpo_where_all_is_scored():
    mask = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
    rewards, index = [1.5, 0.5, 1.4, 0.0], ["a", "a", "a", "a"]
    ours, theirs = (verls(n, rewards, mask, index) for n in ("visionthink-grpo", "grpo"))
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_an_unscored_rollout_counts_nowhere():
    mask = torch.tensor([[1, 1], [1, 1], [0, 0], [1, 1]])
    without = verls("visionthink-grpo", [1.0, 0.0, 1.0], mask[[0, 1, 3]], ["a"] * 3)
    for reward in (2 / 3, 0.0, math.nan):
        made = verls("visionthink-grpo", [1.0, 0.0, reward, 1.0], mask, ["a"] * 4)
        assert torch.allclose(made[[0, 1, 3]], without)
        assert not made[2].any()


def test_rounding_is_no_signal():
    mask = torch.ones(2, 1, dtype=torch.long)
    rewards = [0.1 + 0.2, 0.3]
    assert not verls("visionthink-grpo", rewards, mask, ["a", "a"]).any()


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_order_and_sizes_of_groups_do_not_matter(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    groups = [name for name, size in enumerate(sizes) for _ in range(size)]
    rewards = torch.rand(len(groups), generator=generator)
    mask = torch.rand(len(groups), 5, generator=generator) > 0.4
    algorithm = make_algorithm("grpo", kl_coef=0.0)
    made = advantages(algorithm, rewards, mask, groups)
    order = torch.randperm(len(groups), generator=generator)
    mixed = advantages(algorithm, rewards[order], mask[order], [groups[i] for i in order])
    assert torch.allclose(mixed, made[order], atol=1e-6)
    assert not made[~mask].any()
