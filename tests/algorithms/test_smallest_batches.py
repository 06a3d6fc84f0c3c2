"""One token, one rollout, two numbers: where a count that is wrong by one shows."""

import pytest
import torch

from trainers.algorithms import advantages, losses
from trainers.algorithms.metrics import deviation_over, mean_over, merge_metrics

ONE = torch.tensor([[True, False]])


def test_means_of_one_number() -> None:
    numbers = torch.tensor([[3.0, 9.0]])
    assert mean_over(numbers, ONE).item() == 3
    assert mean_over(numbers, ~ONE & ONE).item() == 0
    assert deviation_over(numbers, ONE).item() == 0
    both = deviation_over(numbers, torch.ones_like(ONE)).item()
    assert both == pytest.approx(18**0.5)


def test_slices_merge_by_their_tokens() -> None:
    one = {"loss": torch.tensor(1.0), "tokens": torch.tensor(1.0), "kl": torch.tensor(4.0)}
    none = {"loss": torch.tensor(0.0), "tokens": torch.tensor(0.0), "kl": torch.tensor(0.0)}
    assert merge_metrics([one]) == {"loss": 1, "tokens": 1, "kl": 4}
    assert merge_metrics([none, one]) == {"loss": 1, "tokens": 1, "kl": 4}
    assert merge_metrics([none]) == {"loss": 0, "tokens": 0, "kl": 0}
    assert merge_metrics([]) == {}


@pytest.mark.parametrize("aggregation", losses.AGGREGATIONS)
def test_one_token_has_the_whole_loss(aggregation: losses.Aggregation) -> None:
    assert losses.shares(ONE, aggregation, 1.0).tolist() == [[1, 0]]


def test_the_ratio_of_a_sequence_of_one_token_is_its_own() -> None:
    new, old = torch.tensor([[-1.0, -7.0]]), torch.tensor([[-1.5, -2.0]])
    ratio = losses.sequence_ratio(new, old, ONE)
    assert ratio[0, 0].item() == pytest.approx(losses.token_ratio(new, old, ONE)[0, 0].item())


def test_the_value_clip_holds_on_both_sides() -> None:
    old, returns = torch.zeros(2), torch.tensor([2.0, -2.0])
    values = torch.tensor([1.0, -1.0])
    error, active = losses.clipped_value_error(values, old, returns, clip=0.5)
    assert error.tolist() == [1.125, 1.125]
    assert active.tolist() == [True, True]
    error, active = losses.clipped_value_error(values / 4, old, returns, clip=0.5)
    assert not active.any()


def test_a_group_of_one_or_of_equals_has_no_advantage_and_one_of_two_has() -> None:
    rewards = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    scored = torch.tensor([[True, True], [True, False], [True, True]])
    for name in ("centred", "standardised", "left_one_out"):
        found = getattr(advantages, name)(rewards, scored)
        assert found[0, 0] == -found[0, 1] > 0, name
        assert not found[1:].any(), name
    assert advantages.centred(rewards, scored)[0].tolist() == [0.5, -0.5]


def test_two_numbers_can_be_whitened_and_one_cannot() -> None:
    numbers = torch.tensor([[1.0, 3.0]])
    two = advantages.whitened(numbers, torch.ones_like(ONE))
    assert two.tolist()[0] == pytest.approx([-(0.5**0.5), 0.5**0.5], rel=1e-4)
    assert not advantages.whitened(numbers, ONE).any()
