"""A second channel reaches the calls' tokens and nothing else, and turns weigh alike."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import tensor

from trainers.algorithms import Batch, make_algorithm
from trainers.algorithms.advantages import spread_over_tokens, standardised
from trainers.algorithms.credit import turn_shares, two_channels
from trainers.algorithms.losses import shares
from vt_env.errors import ConfigError, DataError

NAN = float("nan")
# One group of four rollouts: two call (2 tokens) and answer (1), two answer at once (1 token).
MASK = tensor([[[1, 1, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]]]).bool()
CALLING = tensor([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]).bool()


def channels(rewards, tool, mask, credited, weight):
    """Both channels of a batch."""
    zeros = torch.zeros(mask.shape)
    return two_channels(Batch(rewards, mask, zeros, tool=tool), credited, weight, zeros)


def test_by_hand() -> None:
    rewards = tensor([[1.0, 0.0, 1.0, 0.0]])  # mean 1/2, deviation 1/√3 · 1: ±√3/2
    tool = tensor([[1.0, -1.0, 0.0, 0.0]])  # mean 0, deviation √(2/3): ±√(3/2)
    made = channels(rewards, tool, MASK, CALLING, 0.3)
    outcome, channel = 3**0.5 / 2, 0.3 * 1.5**0.5
    expected = [
        [outcome + channel, outcome + channel, 0, outcome],
        [-outcome - channel, -outcome - channel, 0, -outcome],
        [outcome, 0, 0, 0],
        [-outcome, 0, 0, 0],
    ]
    torch.testing.assert_close(made, tensor([expected]), rtol=1e-4, atol=1e-5)


def test_rollouts_outside_the_channel_are_in_no_statistic_of_it() -> None:
    rewards = tensor([[1.0, 1.0, 1.0, 0.0]])
    tool = tensor([[1 / 2, 1 / 4, 1.0, NAN]])
    made = channels(rewards, tool, MASK, MASK, 0.15)
    scored = tensor([[True, True, True, False]])
    channel = standardised(tool, scored)
    outcome = standardised(rewards, torch.ones(1, 4).bool())
    expected = spread_over_tokens(outcome, MASK) + 0.15 * spread_over_tokens(channel, MASK)
    torch.testing.assert_close(made, expected)


def test_one_alone_in_the_channel_and_unscored_rollouts_get_nothing_of_it() -> None:
    rewards = tensor([[1.0, 0.0, NAN, 0.0]])
    tool = tensor([[1.0, NAN, 1.0, NAN]])
    made = channels(rewards, tool, MASK, CALLING, 1.0)
    plain = channels(rewards, torch.full_like(tool, NAN), MASK, CALLING, 1.0)
    torch.testing.assert_close(made, plain)
    assert not made[0, 2].any()


@given(st.lists(st.floats(-2, 2, width=32), min_size=4, max_size=4), st.floats(0.5, 4))
def test_the_scale_of_a_channel_means_nothing(values: list[float], scale: float) -> None:
    rewards, tool = tensor([[1.0, 0.0, 1.0, 0.0]]), tensor([values])
    spread = max(values) - min(values)
    assume(not 0 < spread < 0.01)
    made = channels(rewards, tool, MASK, CALLING, 0.3)
    again = channels(rewards, tool * scale, MASK, CALLING, 0.3)
    torch.testing.assert_close(made, again, rtol=1e-3, atol=1e-3)
    answers = MASK & ~CALLING
    none = channels(rewards, tool, MASK, CALLING, 0.0)
    torch.testing.assert_close(made[answers], none[answers])


def test_turns_weigh_alike_whatever_their_length() -> None:
    trained, calling = MASK[0], CALLING[0]
    made = turn_shares(trained, calling)
    assert made[calling].sum() == pytest.approx(1)
    assert made[trained & ~calling].sum() == pytest.approx(1)
    assert made[0].tolist() == [0.25, 0.25, 0, 0.25]
    alone = turn_shares(trained, torch.zeros_like(calling))
    torch.testing.assert_close(alone, shares(trained, "token_mean", 1))
    assert not turn_shares(torch.zeros_like(trained), calling).any()


def test_shapes_are_checked() -> None:
    rewards = torch.zeros(1, 4)
    with pytest.raises(DataError, match=r"tool must have the shape \(1, 4\)"):
        channels(rewards, torch.zeros(4), MASK, CALLING, 0.3)
    with pytest.raises(DataError, match="must be finite"):
        channels(rewards, torch.full_like(rewards, torch.inf), MASK, CALLING, 0.3)


def batch_of(**more) -> Batch:
    rewards, tool = tensor([[1.0, 0.0, 1.0, 0.0]]), tensor([[1.0, -1.0, 0.0, 0.0]])
    return Batch(rewards, MASK, torch.zeros(MASK.shape), tool=tool, calling=CALLING, **more)


@pytest.mark.parametrize(
    ("name", "weight", "reached"), [("dtpo", 0.3, CALLING), ("hdpo", 0.15, MASK)]
)
def test_the_algorithms_are_the_functions(name, weight, reached) -> None:
    batch = batch_of()
    targets, _ = make_algorithm(name).targets(batch)
    expected = channels(batch.rewards, batch.tool, MASK, reached, weight)
    torch.testing.assert_close(targets.advantages, expected.flatten(0, 1))
    trained = MASK.flatten(0, 1)
    by_turn = turn_shares(trained, CALLING.flatten(0, 1))
    weights = by_turn if name == "dtpo" else shares(trained, "token_mean", 1, torch.float32)
    torch.testing.assert_close(targets.weights, weights)


def test_a_loss_by_turn_adds_up_over_slices() -> None:
    algorithm = make_algorithm("dtpo")
    targets, _ = algorithm.targets(batch_of())
    moved = torch.full(targets.mask.shape, 0.1)
    whole, _ = algorithm.policy_loss(moved, targets)
    parts = [algorithm.policy_loss(moved[p.index], p)[0] for p in targets.split(3)]
    torch.testing.assert_close(sum(parts), whole)


def test_what_is_missing_or_contradicts_is_named() -> None:
    bare = Batch(tensor([[1.0, 0.0, 1.0, 0.0]]), MASK, torch.zeros(MASK.shape))
    with pytest.raises(DataError, match=r"a channel needs Batch\.tool"):
        make_algorithm("hdpo").targets(bare)
    with pytest.raises(ConfigError, match="dtpo normalises its loss by turn"):
        make_algorithm("dtpo:aggregation=constant")
    with pytest.raises(ConfigError, match="tool_weight must be"):
        make_algorithm("dtpo:tool_weight=-1")
