"""Classes, from all that two counts can be."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.preparation.rule import CLASSES, LOW_ENOUGH, NEEDS_HIGH, REST, Arm, Rule
from vt_env import ConfigError


def test_the_paper_s_rule_for_every_pair_of_counts():
    rule = Rule()
    for low, full in itertools.product(range(9), repeat=2):
        expected = REST
        if (low, full) == (8, 8):
            expected = LOW_ENOUGH
        elif full - low >= 6:
            expected = NEEDS_HIGH
        assert rule.of(Arm(low, 0, 8), Arm(full, 0, 8)) == expected
    assert rule.of(Arm(2, 0, 8), Arm(8, 0, 8)) == NEEDS_HIGH
    assert rule.of(Arm(3, 0, 8), Arm(8, 0, 8)) == REST
    assert rule.of(Arm(7, 0, 8), Arm(8, 0, 8)) == REST


@st.composite
def arms(draw):
    right = draw(st.integers(0, 8))
    return Arm(right, draw(st.integers(0, 8 - right)), 8)


@given(arms(), arms(), st.integers(5, 8), st.integers(4, 8))
def test_an_unscored_rollout_never_decides(low, full, enough, gap):
    rule = Rule(8, enough, gap)
    made = rule.of(low, full)
    outcomes = {
        rule.of(Arm(low.right + a, 0, 8), Arm(full.right + b, 0, 8))
        for a in range(low.unscored + 1)
        for b in range(full.unscored + 1)
    }
    assert outcomes <= set(CLASSES)
    assert made == (outcomes.pop() if len(outcomes) == 1 else None)


def test_what_is_certain_without_all_judgements():
    rule = Rule()
    assert rule.of(Arm(0, 1, 8), Arm(8, 0, 8)) == NEEDS_HIGH
    assert rule.of(Arm(7, 1, 8), Arm(8, 0, 8)) is None
    assert rule.of(Arm(5, 1, 8), Arm(6, 0, 8)) == REST
    assert rule.of(Arm(0, 8, 8), Arm(0, 8, 8)) is None


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((8, 9, 6), "enough is a number of rollouts from 1 to 8, got 9"),
        ((4, 4, 6), "gap is a number of rollouts from 1 to 4, got 6"),
        ((8, 2, 6), "could be of both classes"),
        ((8, 0, 6), "enough"),
    ],
)
def test_numbers_that_make_no_sense(numbers, message):
    with pytest.raises(ConfigError, match=message):
        Rule(*numbers)
