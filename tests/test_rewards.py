"""Rewards: tables worked by hand, and properties that hold for any group."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vt_env.errors import ConfigError
from vt_env.rewards import (
    PENALTIES,
    UNSCORED,
    Outcome,
    RewardConfig,
    direct_share_of_counts,
    direct_share_of_rates,
    group_rewards,
)

LETTERS = {
    "D": Outcome(True, True, False),  # direct, right
    "d": Outcome(False, True, False),  # direct, wrong
    "R": Outcome(True, True, True),  # after a request, right
    "r": Outcome(False, True, True),  # after a request, wrong
    "?": Outcome(None, True, False),  # unscored
}


def group(letters: str) -> list[Outcome]:
    return [LETTERS[letter] for letter in letters]


def payers(letters: str, **config: object) -> str:
    """``x`` where a rollout pays, ``.`` where not, ``?`` where it is unscored."""
    rewards = group_rewards(group(letters), RewardConfig(**config))  # type: ignore[arg-type]
    return "".join("?" if r.penalty is None else "x" if r.penalty else "." for r in rewards)


@pytest.mark.parametrize(
    ("penalty", "letters", "expected"),
    [
        # r = 4/8 >= 0.2: requests pay, wrong ones too
        ("paper", "DDDDRRRRdr", "....xxxx.x"),
        # r = 1/8 < 0.2: direct answers pay, wrong ones too
        ("paper", "DRRRRRRRdr", "x.......x."),
        # r = 1/5 = 0.2 exactly: the threshold belongs to the requests' side
        ("paper", "DRRRR", ".xxxx"),
        # r = 0: nobody is right without a request
        ("paper", "dddRRR", "xxx..."),
        # r = 1: nobody is right after one
        ("paper", "DDrr", "..xx"),
        # r is 0/0: nobody is right
        ("paper", "ddrr", "...."),
        # one arm only
        ("paper", "DDDD", "...."),
        ("paper", "RRRR", "...."),
        # the lock-in that `rate` cures: both arms are always right, but requests dominate
        ("paper", "DRRRRRRR", "x......."),
        ("rate", "DRRRRRRR", ".xxxxxxx"),
        # p_direct = 1/4, p_high = 1: r = 0.2, requests pay; 1/5: r = 1/6, direct answers pay
        ("rate", "DdddR", "....x"),
        ("rate", "DddddR", "xxxxx."),
        # an arm that nobody tried counts as always right: r = 1 / (1 + 1)
        ("rate", "RRRR", "xxxx"),
        ("rate", "DDDD", "...."),
        # all wrong and direct: r = 0 / (0 + 1)
        ("rate", "dddd", "xxxx"),
        ("rate", "ddrr", "...."),
        # the released code: right requests always pay, right direct answers where 0 < r < 0.2
        ("released", "DDDDRRRRdr", "....xxxx.."),
        ("released", "DRRRRRRRdr", "xxxxxxxx.."),
        ("released", "DRRRR", ".xxxx"),
        ("released", "dddRRR", "...xxx"),
        ("every_request", "DDDDRRRRdr", "....xxxx.."),
        ("none", "DRRRRRRRdr", ".........."),
        # unscored rollouts do not count: r = 1/6 without them
        ("paper", "D?????RRRRR", "x?????....."),
    ],
)
def test_who_pays(penalty: str, letters: str, expected: str) -> None:
    assert payers(letters, penalty=penalty) == expected


def test_paper_and_released_differ_where_few_direct_answers_are_right() -> None:
    letters = "DRRRRRRR"
    assert payers(letters, penalty="paper") == "x......."
    assert payers(letters, penalty="released") == "xxxxxxxx"


@pytest.mark.parametrize(
    ("config", "letters", "expected"),
    [
        ({"wrong_pays": False}, "DDDDRRRRdr", "....xxxx.."),
        ({"nobody_correct": "zero"}, "ddrr", "xx.."),
        ({"threshold": 0.6}, "DDDDRRRR", "xxxx...."),
        ({"threshold": 0.0}, "dddR", "...x"),
        ({"penalty": "rate", "untried_rate": 0.1}, "RRRR", "...."),
    ],
)
def test_settings(config: dict[str, object], letters: str, expected: str) -> None:
    assert payers(letters, **config) == expected


def test_terms_by_hand() -> None:
    direct, high = group_rewards(group("DR"), RewardConfig())
    assert (direct.accuracy, direct.format, direct.penalty, direct.total) == (1.0, 0.5, 0.0, 1.5)
    assert (high.accuracy, high.format, high.penalty) == (1.0, 0.5, 0.1)
    assert high.total == pytest.approx(1.4)
    broken = Outcome(True, False, False)
    assert group_rewards([broken], RewardConfig(penalty="none"))[0].total == 1.0
    (wrong,) = group_rewards(group("d"), RewardConfig(penalty="none"))
    assert (wrong.accuracy, wrong.format, wrong.total) == (0.0, 0.5, 0.5)


SHOWN = {True: 20, False: 4}  # visual tokens with and without a request, of 16


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_tokens_cost_their_price_beside_every_penalty(penalty: str) -> None:
    outcomes = [replace(o, visual_tokens=SHOWN[o.requested], full_tokens=16) for o in group("DdRr")]
    free = group_rewards(outcomes, RewardConfig(penalty=penalty))
    priced = group_rewards(outcomes, RewardConfig(penalty=penalty, token_price=0.2))
    assert [r.cost for r in free] == [0.0] * 4
    assert [r.cost for r in priced] == pytest.approx([0.05, 0.05, 0.25, 0.25])
    for before, after in zip(free, priced, strict=True):
        assert replace(after, cost=before.cost, total=before.total) == before
        assert after.total == pytest.approx(before.total - after.cost)


def test_tokens_with_a_price_must_be_counted() -> None:
    priced = RewardConfig(penalty="none", token_price=0.1)
    assert not priced.needs_group
    assert group_rewards(group("?"), priced) == [UNSCORED]  # nothing to pay for
    with pytest.raises(ConfigError, match="full_tokens of at least 1, got 0 and 0"):
        group_rewards(group("D"), priced)


def test_the_sum_is_written_out() -> None:
    (direct,) = group_rewards(group("D"), RewardConfig(penalty="none"))
    assert str(direct) == "reward 1.50 = accuracy 1.00 + format 0.50 - penalty 0.00"
    outcome = replace(LETTERS["R"], visual_tokens=20, full_tokens=16)
    (high,) = group_rewards([outcome], RewardConfig(penalty="every_request", token_price=0.2))
    assert str(high) == "reward 1.15 = accuracy 1.00 + format 0.50 - penalty 0.10 - cost 0.25"
    assert str(UNSCORED) == "no reward: unscored"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": "papr"}, "Unknown penalty 'papr'. Did you mean 'paper'"),
        ({"threshold": 1.2}, "between 0 and 1"),
        ({"penalty_weight": -0.1}, "at least 0"),
        ({"token_price": -0.1}, "token_price must be a finite number of at least 0"),
        ({"token_price": math.inf}, "finite"),
        ({"accuracy_weight": math.nan}, "finite"),
        ({"nobody_correct": "maybe"}, "Unknown nobody_correct 'maybe'. Known: none, zero"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig(**settings)  # type: ignore[arg-type]


OUTCOMES = st.builds(
    Outcome,
    correct=st.sampled_from([True, False, None]),
    well_formed=st.booleans(),
    requested=st.booleans(),
    visual_tokens=st.sampled_from([0, 4, 20, 2701]),
    full_tokens=st.sampled_from([1, 16, 2701]),
)
GROUPS = st.lists(OUTCOMES, max_size=16)
CONFIGS = st.builds(
    RewardConfig,
    penalty=st.sampled_from(sorted(PENALTIES)),
    penalty_weight=st.sampled_from([0.0, 0.1, 0.3]),
    threshold=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    wrong_pays=st.booleans(),
    nobody_correct=st.sampled_from(["none", "zero"]),
    token_price=st.sampled_from([0.0, 0.1, 0.8]),
)


@given(GROUPS, CONFIGS, st.randoms(use_true_random=False))
def test_order_does_not_matter(outcomes: list[Outcome], config: RewardConfig, rng) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(outcomes)))
    rng.shuffle(order)
    before = group_rewards(outcomes, config)
    after = group_rewards([outcomes[i] for i in order], config)
    assert after == [before[i] for i in order]


@given(GROUPS, CONFIGS)
def test_bounds_and_fairness(outcomes: list[Outcome], config: RewardConfig) -> None:
    rewards = group_rewards(outcomes, config)
    assert len(rewards) == len(outcomes)
    for outcome, reward in zip(outcomes, rewards, strict=True):
        if outcome.correct is None:
            assert reward == UNSCORED
            continue
        assert reward.total is not None
        assert reward.cost == config.token_price * outcome.visual_tokens / outcome.full_tokens
        before = reward.total + reward.cost  # of which floats may miss the last bit
        assert -config.penalty_weight - 1e-9 <= before <= 1.5 + 1e-9
        assert reward.penalty in (0.0, config.penalty_weight)
    by_outcome = dict(zip(outcomes, rewards, strict=True))
    assert [by_outcome[o] for o in outcomes] == rewards  # equal rollouts, equal rewards


@given(GROUPS, CONFIGS)
def test_unscored_rollouts_change_nothing(outcomes: list[Outcome], config: RewardConfig) -> None:
    scored = [o for o in outcomes if o.correct is not None]
    kept = [r for r in group_rewards(outcomes, config) if r != UNSCORED]
    assert kept == group_rewards(scored, config)


@given(GROUPS)
def test_only_one_arm_pays_and_rates_ignore_how_often(outcomes: list[Outcome]) -> None:
    scored = [o for o in outcomes if o.correct is not None]
    for penalty in ("paper", "rate"):
        rewards = group_rewards(scored, RewardConfig(penalty=penalty))
        arms = {o.requested for o, r in zip(scored, rewards, strict=True) if r.penalty}
        assert len(arms) <= 1
    doubled = [*scored, *(o for o in scored if o.requested)]
    assert direct_share_of_rates(doubled, 1.0) == direct_share_of_rates(scored, 1.0)


def test_shares_by_hand() -> None:
    assert direct_share_of_counts(group("DDDR")) == 0.75
    assert direct_share_of_counts(group("dr")) is None
    assert direct_share_of_rates(group("DdRR"), 1.0) == pytest.approx(1 / 3)
    assert direct_share_of_rates([], 1.0) == 0.5
