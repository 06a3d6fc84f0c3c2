"""Where the kit's numbers come from: hand-written facts, and some of them worked out by hand."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from trainers.conformance import cases
from trainers.conformance import derive as derivation

FOLDER = Path(derivation.__file__).parent


def test_the_derivation_uses_nothing_of_the_project():
    tree = ast.parse((FOLDER / "derive.py").read_text("utf-8"))
    imported = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    imported += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    assert set(imported) == {
        "__future__",
        "collections.abc",
        "fractions",
        "typing",
    }


def column(settings: str, group: str, name: str) -> list:
    (case,) = cases([settings], [group])
    return [getattr(expected, name) for expected in case.groups[0].expected]


BY_HAND = [
    # r = 2/4 ≥ 0.2: the four that requested pay 0.1 each. Right 1, well formed 0.5.
    ("paper", "mixed", [1.5, 0.5, 1.4, 0.4, 0.9, 1.0, 0.0, -0.1]),
    # r = 1/6 < 0.2: the two direct answers pay, the wrong one too.
    ("paper", "needs-original", [1.4, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5, 0.4]),
    ("paper-right-only", "needs-original", [1.4, 1.5, 1.5, 1.5, 1.5, 1.5, 0.5, 0.5]),
    # p_direct = 1/2, p_high = 5/6: r = 3/8 ≥ 0.2, so requests pay.
    ("rate", "needs-original", [1.5, 1.4, 1.4, 1.4, 1.4, 1.4, 0.4, 0.5]),
    # r = 1/5 is not below θ.
    ("paper", "at-threshold", [1.5, 0.5, 0.5, 0.5, 1.4, 1.4, 1.4, 1.4]),
    ("released", "at-threshold", [1.5, 0.5, 0.5, 0.5, 1.4, 1.4, 1.4, 1.4]),
    # 0 < r = 1/6 < θ: in the released code both arms pay, the wrong ones of neither.
    ("released", "needs-original", [1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 0.5, 0.5]),
    # 0/0: nobody pays; or r = 0, so direct answers do.
    ("paper", "nobody-right", [0.5] * 8),
    ("paper-nobody", "nobody-right", [0.4] * 4 + [0.5] * 4),
    # Counts: r = 0, and there is no direct answer to pay. Rates: 1 / (1 + 5/8) = 8/13; or 0.
    ("paper", "only-requests", [1.5] * 5 + [0.5] * 3),
    ("rate", "only-requests", [1.4] * 5 + [0.4] * 3),
    ("rate-doubtful", "only-requests", [1.5] * 5 + [0.5] * 3),
    # The unscored do not count: r = 1/6.
    ("paper", "unscored", [1.4, None, None, 1.5, 1.5, 1.5, 1.5, 1.5]),
    # 0.2 · 4/16 = 0.05 directly, 0.2 · 20/16 = 0.25 after a request.
    ("price", "needs-original", [1.45, 1.25, 1.25, 1.25, 1.25, 1.25, 0.25, 0.45]),
    # 4 of 15 tokens, and 19 of 15; a speck costs 1 and 2 of 1.
    ("price", "odd-sizes", [1.5 - 0.8 / 15] * 2 + [0.5 - 0.8 / 15] * 2 + [1.5 - 3.8 / 15] * 3 + [0.5 - 3.8 / 15]),  # noqa: E501
    ("price", "speck", [1.3, 1.3, 0.3, 0.3, 1.1, 1.1, 1.1, 0.1]),
    # r = 1/2 is not below θ = 0.5: 2 + 0.25 - 0.3 after a request.
    ("weights", "mixed", [2.25, 0.25, 1.95, -0.05, 1.7, 2.0, 0.0, -0.3]),
    # The whole picture once: 0.2; a quarter of it: 0.05.
    # 0.2 · 48/48 for the first look, and 16, 20 and 24 of 48 more for the parts.
    ("crops", "crops", [1.3, 1.3 - 3.2 / 48, 1.3 - 7.2 / 48, 0.3 - 4.8 / 48, 0.8, None, 1.3 - 4 / 48, 1.3 - 6.4 / 48]),  # noqa: E501
    # Right: 2 directly, 2 after a call, r = 2/4 ≥ 0.2, so those with a call pay 0.1. 0.2 for both
    # pictures once; each part costs 70 of 97.
    ("pictures", "pictures", [1.3, 1.2 - 14 / 97, 0.2 - 14 / 97, 1.2 - 28 / 97, 0.8, None, -0.3 - 28 / 97, 0.3]),  # noqa: E501
    ("budget", "budget", [1.5, 0.5, 1.5, 0.5, 0.0, 1.0, 1.0, 0.0]),
    ("general", "general", [1.3, 0.3, -0.2, 0.8, -0.2, None, -0.2, 1.3]),
    ("low", "low", [1.45, 0.45, -0.05, 0.95, -0.05, None, -0.05, 1.45]),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "group", "rewards"), BY_HAND)
def test_rewards_worked_out_by_hand(settings, group, rewards):
    assert column(settings, group, "reward") == pytest.approx(rewards)


def test_the_rest_by_hand():
    assert column("paper", "mixed", "visual_tokens") == [4, 4, 20, 20, 20, 4, 4, 20]
    assert column("none", "odd-sizes", "visual_tokens") == [4] * 4 + [19] * 4
    assert column("crops", "crops", "visual_tokens") == [48, 64, 84, 72, 48, 84, 68, 80]
    assert column("budget", "budget", "turns") == [1, 1, 2, 2, 2, 3, 3, 3]
    assert column("none", "mixed", "turns") == [1, 1, 2, 2, 2, 2, 1, 2]
    assert column("paper", "mixed", "penalty") == [0, 0, 0.1, 0.1, 0.1, 0, 0, 0.1]
    assert column("paper", "all-alike", "deviation") == [0.0] * 8
    # (1.4 + 5 · 1.5) / 6 = 8.9/6
    mean = 8.9 / 6
    expected = [1.4 - mean, None, None, *[1.5 - mean] * 5]
    assert column("paper", "unscored", "deviation") == pytest.approx(expected)


def test_every_rule_makes_a_difference_that_the_kit_sees():
    """Settings that no group told apart would check nothing."""
    seen = {}
    for case in cases():
        rewards = tuple(e.reward for group in case.groups for e in group.expected)
        assert rewards not in seen, (case.name, seen[rewards])
        seen[rewards] = case.name
