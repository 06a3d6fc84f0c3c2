"""Rewards of later papers: tables worked by hand, and what holds for any group."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vt_env import ConfigError, Outcome, Region, RewardConfig, Sample, group_rewards
from vt_env.bonuses import BONUSES, CHANNELS
from vt_env.errors import DataError
from vt_env.regions import Box


def shows(share: float) -> tuple[Region, ...]:
    return (Region(0, Box(0, 0, 100, 100 * share), (100, 100)),)


LETTERS = {
    "D": Outcome(True, True, False),
    "d": Outcome(False, True, False),
    "m": Outcome(False, False, False),  # direct, wrong, malformed
    "R": Outcome(True, True, True, calls=1, found=1.0, regions=shows(0.1)),
    "r": Outcome(False, True, True, calls=1, found=1.0, regions=shows(0.1)),
    "B": Outcome(True, True, True, calls=1, found=1.0, regions=shows(0.3)),  # a large crop
    "H": Outcome(True, True, True, calls=1, found=0.0, regions=shows(0.1)),  # a crop of nothing
    "T": Outcome(True, True, True, calls=3, found=1.0, regions=shows(0.1)),  # three calls
    "F": Outcome(True, True, True, calls=3, failed_calls=2, found=1.0, regions=shows(0.1)),
    "?": Outcome(None, True, False),
}


def group(letters: str) -> list[Outcome]:
    return [LETTERS[letter] for letter in letters]


@pytest.mark.parametrize(
    ("name", "letters", "expected"),
    [
        ("deepeyes", "DdRrB", [0, 0, 1.2, 0, 1.2]),
        # q = 1/8: 0.25 (0.3 - 0.125) / 0.25 = 0.175
        ("pixel-reasoner", "RDDDDDDD", [0.175] + [0] * 7),
        ("pixel-reasoner", "rDDDDDDD", [0.175] + [0] * 7),
        # three calls pay twice 0.05; failed ones are no calls
        ("pixel-reasoner", "TDDDDDDD", [0.075] + [0] * 7),
        ("pixel-reasoner", "FDDDDDDD", [0.175] + [0] * 7),
        # q = 1/2: no curiosity is left
        ("pixel-reasoner", "RTDD", [0, -0.1, 0, 0]),
        ("pixel-reasoner", "DDDD", [0, 0, 0, 0]),
        ("chain-of-focus", "DRrdm", [1.0, 0.8, 0.5, 0.1, 0]),
        ("chain-of-focus", "Rrdm", [1.0, 0.5, 0, 0]),
        ("chain-of-focus", "rdm", [0.5, 0, 0]),
    ],
)
def test_bonuses_by_hand(name: str, letters: str, expected: list[float]) -> None:
    assert BONUSES[name](group(letters)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "letters", "expected"),
    [
        # μ = (0.1 + 0.3) / 2 = 0.2: the large crop is 1.5 μ, pays 2 · 0.5
        ("adaptvision", "RB", [1, 0]),
        # μ = 0.15: 0.3 is twice it, pays all
        ("adaptvision", "RRRB", [1, 1, 1, -1]),
        # wrong rollouts and crops of nothing are in no mean and pay no area
        ("adaptvision", "RrHDd", [1, 1, 0, 0, 0]),
        ("adaptvision", "B", [1]),
        ("hdpo", "DRTd", [1, 1 / 2, 1 / 4, None]),
        ("hdpo", "Drr", [None, None, None]),
        ("hdpo", "DD", [1, 1]),
    ],
)
def test_channels_by_hand(name: str, letters: str, expected: list[float | None]) -> None:
    assert CHANNELS[name](group(letters)) == pytest.approx(expected)


groups = st.text(alphabet="DdmRrBHTF?", min_size=1, max_size=12)


@pytest.mark.parametrize("name", ["none", *BONUSES])
@pytest.mark.parametrize("tool", ["none", *CHANNELS])
@given(letters=groups, shuffled=st.randoms())
def test_any_group(name: str, tool: str, letters: str, shuffled: Any) -> None:
    config = RewardConfig(penalty="none", bonus=name, tool=tool, failed_call_price=0.05)
    rewards = group_rewards(group(letters), config)
    for letter, reward in zip(letters, rewards, strict=True):
        if letter == "?":
            assert reward.total is None
            assert reward.tool is None
            continue
        terms = (reward.accuracy, reward.format, reward.penalty, reward.cost, reward.bonus)
        assert None not in terms
        accuracy, form, penalty, cost, bonus = (float(term or 0) for term in terms)
        assert reward.total == pytest.approx(accuracy + form - penalty - cost + bonus)
        assert math.isfinite(reward.total)
        assert reward.tool is None or -1 <= reward.tool <= 1
    # The order of a group means nothing, and unscored rollouts change nobody's reward.
    order = list(range(len(letters)))
    shuffled.shuffle(order)
    again = group_rewards([LETTERS[letters[i]] for i in order], config)
    for place, index in enumerate(order):
        assert again[place].total == pytest.approx(rewards[index].total)
        assert again[place].tool == pytest.approx(rewards[index].tool)
    more = group_rewards(group(letters + "??"), config)[: len(letters)]
    assert [r.total for r in more] == pytest.approx([r.total for r in rewards])


def test_calls_that_fail_or_repeat_can_have_a_price() -> None:
    outcome = replace(LETTERS["F"], repeated_calls=1)
    config = RewardConfig(penalty="none", failed_call_price=0.05, repeated_call_price=0.1)
    (reward,) = group_rewards([outcome], config)
    assert reward.cost == pytest.approx(0.2)
    assert reward.total == pytest.approx(1.3)
    assert "cost 0.20" in str(reward)


def test_without_true_boxes_crops_cannot_be_judged() -> None:
    with pytest.raises(ConfigError, match="an 'answer_box' in their metadata"):
        group_rewards([Outcome(True, True, True)], RewardConfig(tool="adaptvision"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"bonus": "deepeye"}, "Did you mean 'deepeyes'"), ({"tool": "x"}, "Unknown reward's tool"),
     ({"bonus_weight": -1}, "bonus_weight"), ({"failed_call_price": -1}, "failed_call_price")],
)  # fmt: skip
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig(**settings)


def test_groups_are_needed_where_siblings_are_compared() -> None:
    assert not RewardConfig(penalty="none", bonus="deepeyes").needs_group
    assert RewardConfig(penalty="none", bonus="chain-of-focus").needs_group
    assert RewardConfig(penalty="none", tool="hdpo").needs_group


@pytest.mark.parametrize("box", [[1, 2, 3], "abcd", [3, 0, 1, 9], [0, 0, "inf", 1], 7])
def test_a_box_that_is_none_is_refused(box: Any) -> None:
    with pytest.raises(DataError, match="answer_box must be left"):
        Sample("s", "Q", ("x",), b"", metadata={"answer_box": box})
