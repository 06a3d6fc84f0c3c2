"""Names, hyper-parameters, and what is said of wrong ones."""

from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from algorithm_toys import NAMES, gradient, moved, random_batch

from trainers.algorithms import ALGORITHMS, DAPO, GRPO, PPO, Batch, make_algorithm
from vt_env.errors import ConfigError, DataError


def test_names() -> None:
    assert set(NAMES) >= {
        "ppo",
        "grpo",
        "dr_grpo",
        "rloo",
        "reinforce++",
        "reinforce++-baseline",
        "dapo",
        "gspo",
    }


def test_spec_and_keywords_set_parameters() -> None:
    algorithm = make_algorithm("grpo:kl_coef=0.001,clip-high=0.28", drop_without_signal=True)
    assert algorithm == GRPO(kl_coef=0.001, clip_high=0.28, drop_without_signal=True)
    assert make_algorithm(algorithm) is algorithm


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("grppo", "Unknown algorithm 'grppo'. Did you mean 'grpo'"),
        ("grpo:kl_coeff=1", "Unknown parameter of grpo 'kl_coeff'. Did you mean 'kl_coef'"),
        ("gae", "OpenRLHF's name of an estimator; the algorithm is 'ppo'"),
        ("grpo:decay=1", "Unknown parameter of grpo 'decay'"),
        ("grpo:0.2", "expected parameter=value, got '0.2'"),
        ("grpo:aggregation=token", "Unknown aggregation 'token'. Did you mean 'token_mean'"),
        ("grpo:forced=sometimes", "Unknown forced 'sometimes'"),
        ("grpo:clip_low=-1", "clip_low must be a finite number of at least 0, got -1"),
        ("grpo:horizon=0", "horizon must be a positive number"),
        ("grpo:kl_estimator=k1", "no KL's gradient in the loss: use kl_estimator='k2' or 'k3'"),
        ("grpo:kl_in=reward", "'k3' has no KL's gradient in the reward: use kl_estimator='k1'"),
        ("grpo:kl_in=reward,kl_estimator=k2", "or kl_in='loss'"),
        ("ppo:decay=1.5", "decay must be between 0 and 1"),
        ("ppo:value_clip=0", "value_clip must be positive or None"),
        ("ppo:value_coef=-1", "value_coef must be at least 0"),
    ],
)
def test_mistakes(spec: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_algorithm(spec)
    assert message in str(caught.value)


def test_a_parameter_is_given_once_and_a_ready_algorithm_takes_none() -> None:
    with pytest.raises(ConfigError, match="'kl_coef' is given both"):
        make_algorithm("grpo:kl_coef=0", kl_coef=1)
    with pytest.raises(ConfigError, match="takes no parameters, got kl_coef"):
        make_algorithm(GRPO(), kl_coef=1)


def test_algorithms_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        GRPO().kl_coef = 1  # type: ignore[misc]


def test_what_an_algorithm_needs_is_asked_for() -> None:
    batch = random_batch(0)
    for algorithm, field in (
        (GRPO(), "ref_log_probs"),
        (PPO(), "values"),
        (DAPO(), "truncated"),
    ):
        with pytest.raises(DataError, match=f"needs Batch.{field}, which is None"):
            algorithm.targets(replace(batch, **{field: None}))


def test_shapes_are_checked() -> None:
    batch = random_batch(0)
    targets, _ = PPO().targets(batch)
    with pytest.raises(DataError, match=r"log_probs must be \(15, 8\), got \(1, 8\)"):
        PPO().policy_loss(torch.zeros(1, 8), targets)
    with pytest.raises(DataError, match=r"values must be \(15, 8\), got \(8,\)"):
        PPO().value_loss(torch.zeros(8), targets)
    critic_free, _ = GRPO().targets(batch)
    with pytest.raises(DataError, match="algorithm with a critic"):
        PPO().value_loss(torch.zeros(15, 8), critic_free)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("mask", torch.ones(2, 3).bool(), r"mask must be bool \[G, R, T\]"),
        ("rewards", torch.zeros(3, 4), r"rewards must have the shape \(3, 5\), got \(3, 4\)"),
        ("values", torch.zeros(3, 5), r"values must have the shape \(3, 5, 8\)"),
        ("mask", torch.ones(3, 5, 8), "mask must be bool, got torch.float32"),
        ("truncated", torch.zeros(3, 5), "truncated must be bool"),
        ("rewards", torch.zeros(3, 5).long(), "rewards must be float, got torch.int64"),
        ("rewards", torch.full((3, 5), torch.inf), "rewards must be finite"),
    ],
)
def test_a_wrong_batch_is_refused(field: str, value: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        random_batch(0, **{field: value})


def test_optional_fields_may_be_absent() -> None:
    full = random_batch(0)
    bare = Batch(full.rewards, full.mask, full.old_log_probs)
    for name in ("dr_grpo", "rloo", "reinforce++", "reinforce++-baseline", "gspo"):
        loss, _ = gradient(make_algorithm(name), bare, moved(bare))
        assert abs(loss) < float("inf")


def test_others_can_add_theirs() -> None:
    ALGORITHMS.register("half_clip", lambda: GRPO(clip_high=0.1))
    try:
        assert make_algorithm("half_clip") == GRPO(clip_high=0.1)
        with pytest.raises(ConfigError):
            make_algorithm("half_clip:kl_coef=1")
    finally:
        del ALGORITHMS._factories["half_clip"]
