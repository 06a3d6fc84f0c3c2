"""The bounds of the price study, on worlds whose best answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studies.frontier import Arms, Frontier, gap, grouped, mixing
from vt_env import DataError


def arms(low, high, rollouts=64, seed=0):
    """Rollouts of questions with given success rates; half size 0.25 tokens, a request 1.25."""
    rng = np.random.default_rng(seed)
    low, high = np.asarray(low, float), np.asarray(high, float)
    return Arms(
        rng.random((len(low), rollouts)) < low[:, None],
        rng.random((len(high), rollouts)) < high[:, None],
        0.25,
        1.25,
    )


SURE = arms([0, 0, 1, 1], [1, 0, 1, 0])
"""Asking pays, is in vain, is needless, does harm."""


@pytest.mark.parametrize(
    ("price", "asked"), [(0.5, [1, 0, 0, 0]), (1.01, [0] * 4), (-0.5, [1, 1, 1, 0])]
)
def test_the_oracle_asks_where_it_pays(price, asked):
    accuracy, tokens = SURE.asking(price)
    assert (tokens - 0.25).tolist() == asked
    assert accuracy.tolist() == [asked[0], 0, 1, 1]


def test_by_what_is_seen_groups_are_asked_as_one():
    accuracy, tokens = SURE.asking(0.4, np.array([0, 0, 1, 1]))
    assert tokens.tolist() == [1.25, 1.25, 0.25, 0.25]  # half of the first two gain
    assert accuracy.tolist() == [1, 0, 1, 1]


def test_the_same_rollouts_do_not_choose_and_score():
    """All questions are alike, so an oracle can do no better than either arm: 0.5."""
    alike = arms([0.5] * 4000, [0.5] * 4000, rollouts=2)
    accuracy, _ = alike.asking(0.2)
    assert accuracy.mean() == pytest.approx(0.5, abs=0.03)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8))
def test_a_curve_goes_from_never_to_always(rates):
    made = arms(*zip(*rates, strict=True), rollouts=6)
    curve = Frontier(made)
    assert (np.diff(curve.tokens) >= 0).all()
    assert curve.tokens[[0, -1]].tolist() == [0.25, 1.25]
    assert curve.accuracy[0] == pytest.approx(made.low.mean())
    assert curve.accuracy[-1] == pytest.approx(made.high.mean())
    for tokens, accuracy in zip(curve.tokens[[0, -1]], curve.accuracy[[0, -1]], strict=True):
        assert curve.at(tokens).mean() == pytest.approx(accuracy)
        assert mixing(made, tokens).mean() == pytest.approx(accuracy)


def test_between_two_points_they_are_mixed():
    curve = Frontier(SURE)
    # from nobody (0.25 tokens, accuracy 2/4) to the one who gains by it (0.5 tokens, 3/4)
    assert curve.at(0.375).tolist() == [0.5, 0, 1, 1]
    assert curve.at(0.1).mean() == 0.5
    assert curve.at(9.0).mean() == 0.5
    assert mixing(SURE, 0.375).mean() == pytest.approx(0.5)


def test_groups_are_numbered_in_the_order_in_which_they_come():
    assert grouped([("a", 1), ("b", 1), ("a", 1), ("a", 2)]).tolist() == [0, 1, 0, 2]


def test_a_policy_that_cannot_ask_is_no_world_to_compare_in():
    with pytest.raises(DataError, match="cannot ask"):
        Arms(SURE.low, SURE.high, 0.25, 0.25)


def test_gaps_are_paired():
    rng = np.random.default_rng(0)
    policy = rng.random(500)
    more, half = gap(policy + 0.02, policy)
    assert (more, half) == pytest.approx((0.02, 0))
    more, half = gap(rng.random(500), policy)
    assert abs(more) < half < 0.05
