"""Numbers of a table, by hand and against known intervals."""

import numpy as np
import pytest

from experiments.summary import interval, measure, ratios, summarise, wilson


def row(correct: bool | None, requested: bool = False, shown: int = 25, **more: object):  # type: ignore[no-untyped-def]
    return {
        "kind": "k", "source": "s", "correct": correct, "requested": requested,
        "well_formed": True, "futile_request": False, "visual_tokens": shown, "full_tokens": 100,
        **more,
    }  # fmt: skip


def test_by_hand() -> None:
    rows = [row(True), row(False), row(True, True, 125), row(None, True, 125)]
    found = summarise(rows, [{"id": "x", "reason": "broken", "kind": "k", "source": "s"}])
    assert found["n"] == 4
    assert found["accuracy"] == pytest.approx(2 / 3)  # of those that were scored
    assert found["request_rate"] == 0.5
    assert found["visual_tokens"] == 75
    assert found["token_ratio"] == 0.75
    assert (found["unscored"], found["refused"], found["format_rate"]) == (1, 1, 1.0)
    assert found["by_kind"]["k"]["n"] == found["by_source"]["s"]["n"] == 4
    assert found["by_kind"]["k"]["refused"] == 1


def test_nothing_is_none_and_not_zero() -> None:
    found = measure([], 3)
    assert found["accuracy"] is found["token_ratio"] is None
    assert found["refused"] == 3
    assert measure([row(None)], 0)["accuracy"] is None
    assert measure([row(None)], 0)["interval_95"]["accuracy"] is None


def test_wilson_against_published_values() -> None:
    # Newcombe (1998), Statistics in Medicine 17, Table I, method 3.
    for successes, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                    (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(successes, n) == pytest.approx([low, high], abs=5e-5)


def test_bootstrap_is_close_to_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400)
    parts = {"mean": (values, np.ones(400))}
    found, again = (interval(ratios(parts, np.arange(400), 0)["mean"]) for _ in range(2))
    half = 1.96 * values.std() / 20
    assert found == pytest.approx([values.mean() - half, values.mean() + half], abs=0.04)
    assert found == again
