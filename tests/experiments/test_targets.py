"""What the laptop run has to reach."""

from typing import Any

import pytest

from experiments.targets import AT_LEAST, AT_MOST, missed, missed_beside

GOOD = {**dict.fromkeys(AT_MOST, 0.0), **dict.fromkeys(AT_LEAST, 1.0)}


def result(accuracy: float, tokens: float = 0.675, **requests: float) -> dict[str, Any]:
    rates = {**GOOD, **requests}
    by_kind = {kind: {"request_rate": rate} for kind, rate in rates.items()}
    return {"accuracy": accuracy, "token_ratio": tokens, "by_kind": by_kind}


def test_a_good_policy_misses_nothing() -> None:
    assert missed(0.97, 0.70, GOOD) == []


@pytest.mark.parametrize(
    ("accuracy", "tokens", "requests", "word"),
    [
        (0.96, 0.675, {}, "accuracy"),
        (0.99, 0.71, {}, "tokens"),
        (0.99, 0.69, {"big_number": 0.11}, "big_number"),
        (0.99, 0.69, {"texture": 0.94}, "texture"),
    ],
)
def test_each_bound_is_held(
    accuracy: float, tokens: float, requests: dict[str, float], word: str
) -> None:
    [found] = missed(accuracy, tokens, {**GOOD, **requests})
    assert word in found


def test_references_and_sampled_answers_count() -> None:
    policies = {
        "trained": result(0.985),
        "low": result(0.70),
        "random": result(0.80),
        "always_request": result(0.99),
    }
    assert missed_beside(policies, result(0.95)) == []
    assert "sampled accuracy" in missed_beside(policies, result(0.93))[0]
    assert "sampled token_ratio" in missed_beside(policies, result(0.98, tokens=0.73))[0]
    policies["always_request"] = result(0.996)
    assert "always_request" in missed_beside(policies, result(0.98))[0]
    policies["random"] = result(0.90)
    assert len(missed_beside(policies, result(0.98))) == 2
