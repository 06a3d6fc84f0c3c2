"""Statistics of two results on the same samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.summary import difference, differences, mcnemar, side_by_side, wilson


def test_mcnemar_against_values_worked_out_elsewhere() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 5) == 1.0
    assert mcnemar(0, 6) == 2 / 2**6
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)  # 2 · (1 + 10) / 2¹⁰
    # Fay (2011), vignette of R's exact2x2: 9 and 2 discordant pairs, p = 0.06543
    assert mcnemar(9, 2) == pytest.approx(0.06543, abs=5e-6)
    assert 0 < mcnemar(4_000, 4_400) < 1e-3  # no overflow


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_binomial_test(a: int, b: int) -> None:
    n = a + b
    tail = sum(math.comb(n, k) for k in range(min(a, b) + 1)) / 2**n
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(min(1.0, 2 * tail))


def test_scipy_says_the_same() -> None:
    stats = pytest.importorskip("scipy.stats")
    for a, b in ((0, 1), (3, 9), (40, 61)):
        assert mcnemar(a, b) == pytest.approx(stats.binomtest(min(a, b), a + b).pvalue)
        spread = stats.binomtest(a, a + b).proportion_ci(0.95, method="wilson")
        assert wilson(a, a + b) == pytest.approx([spread.low, spread.high])


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    a = hard.astype(float)
    b = a.copy()
    b[:20] = 1.0
    found = difference(a, b, test=True)
    assert found["n"] == 400
    assert found["difference"] == pytest.approx(found["b"] - found["a"])
    assert (found["only_a"], found["only_b"]) == (0, int((1 - a[:20]).sum()))
    low, high = found["interval_95"]
    # two samples apart would give an interval of ± 0.07; what both share is no noise here
    assert 0 < low < found["difference"] < high < 0.06
    half = 1.96 * (b - a).std() / 20
    assert high - low == pytest.approx(2 * half, rel=0.15)


def test_only_samples_with_both_values_count() -> None:
    nan = np.nan
    found = difference(np.array([1.0, nan, 0.0]), np.array([1.0, 1.0, nan]), test=True)
    assert (found["n"], found["a"], found["b"], found["p"]) == (1, 1.0, 1.0, 1.0)
    nothing = difference(np.array([nan]), np.array([1.0]), test=True)
    assert nothing["n"] == 0
    assert nothing["difference"] is nothing["interval_95"] is nothing["p"] is None


def row(i: int, correct: bool | None, asked: bool = False, **more: object) -> dict[str, object]:
    return {
        "id": f"s{i}", "correct": correct, "requested": asked, "well_formed": True,
        "visual_tokens": 125 if asked else 25, "full_tokens": 100, "generated_tokens": 7,
        "score": None if correct is None else float(correct), **more,
    }  # fmt: skip


def test_modes_side_by_side() -> None:
    full = [row(i, i % 4 != 0) for i in range(40)]
    low = [row(i, i % 4 == 1) for i in range(40)]
    gone = [row(i, None) for i in range(40)]
    told, tests = side_by_side({"low": low, "full": full, "gone": gone})
    assert told["low"]["relative_accuracy"] == pytest.approx(1 / 3)
    assert told["full"]["bootstrap_95"]["relative_accuracy"] == [1.0, 1.0]
    low_end, high_end = told["low"]["bootstrap_95"]["relative_accuracy"]
    assert 0.1 < low_end < 1 / 3 < high_end < 0.6
    assert told["gone"]["relative_accuracy"] is None
    assert told["gone"]["bootstrap_95"]["accuracy"] is None
    assert [(t["a"], t["b"]) for t in tests] == [("low", "full"), ("low", "gone"), ("full", "gone")]
    assert tests[0]["accuracy"]["only_b"] == 20
    assert tests[0]["accuracy"]["p"] == pytest.approx(mcnemar(0, 20))
    assert tests[1]["accuracy"]["n"] == 0


def test_nothing_right_at_full_has_no_share() -> None:
    told, _ = side_by_side({"full": [row(0, False)], "low": [row(0, True)]})
    assert told["low"]["relative_accuracy"] is None
    alone, tests = side_by_side({"low": [row(0, True)]})
    assert alone["low"]["relative_accuracy"] is None
    assert tests == []


def test_ratios_of_no_tokens_are_none() -> None:
    a = {"s0": row(0, True, full_tokens=0)}
    found = differences(a, a, ["s0"])
    assert found["token_ratio"]["difference"] is None
    assert found["visual_tokens"]["difference"] == 0
