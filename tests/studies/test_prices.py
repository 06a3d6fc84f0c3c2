"""The price study end to end, in small, and what is told of it."""

import json

import numpy as np
import pytest

pytest.importorskip("transformers")

from experiments.recipe import load_recipe
from studies import prices
from studies.price import main

SMALL = """
recipe = "price"
seeds = [0]
across = "reward.token_price"
values = [0.0, 0.1]

[warmup]
reading = 0
kinds = "big_number+faint_number"
vision_steps = 2
steps = 60
batch = 8

[settings]
trainer = "local"
steps = 2
"rollout.prompts" = 3
"data.train" = "generated:n=64,split=train,kinds=close"
"data.validation" = "generated:n=16,split=test,kinds=close"
"tracking.wandb" = "off"

[arms.price]
"""


@pytest.fixture
def frontier(tmp_path):
    def run(*more, **changes):
        text = SMALL
        for before, after in changes.values():
            text = text.replace(before, after)
        file = tmp_path / "small.toml"
        file.write_text(text)
        words = [str(file), "--out", str(tmp_path / "out"), "--jobs", "1"]
        code = main([*words, "--samples", "10", "--rollouts", "2", *more])
        found = tmp_path / "out" / "result.json"
        return code, json.loads(found.read_text()) if found.exists() else None

    return run


@pytest.mark.slow
def test_a_study_in_small_that_grows(frontier, tmp_path, capsys):
    code, found = frontier()
    assert code == 0
    policies = found["seeds"]["0"]["policies"]
    assert [p["price"] for p in policies] == [0, 0.1]
    assert set(policies[0]["gap"]) == {"oracle", "visible", "visible_own", "mixing"}
    assert found["seeds"]["0"]["arms"]["rollouts"] == 4
    assert found["provenance"]["command"]
    assert (tmp_path / "out" / "plot.png").stat().st_size > 10_000
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("played.sealed")}
    code, found = frontier(values=("[0.0, 0.1]", "[0.1, 0.8]"))
    assert code == 0
    assert [p["price"] for p in found["seeds"]["0"]["policies"]] == [0.1, 0.8]
    assert all(p.stat().st_mtime_ns == time for p, time in before.items())  # not done again
    damaged = sorted(before)[-1]
    data = bytearray(damaged.read_bytes())
    data[len(data) // 3] ^= 4
    damaged.write_bytes(bytes(data))
    assert frontier(values=("[0.0, 0.1]", "[0.1, 0.8]"))[0] == 2
    assert "played.sealed is not what was written; delete it" in capsys.readouterr().err


@pytest.mark.slow
def test_parts_made_with_other_settings_are_not_taken_for_ones_own(frontier, capsys):
    assert frontier(values=("[0.0, 0.1]", "[0.1]"))[0] == 0
    assert frontier(steps=('steps = 2\n"', 'steps = 3\n"'))[0] == 2
    assert "other settings" in capsys.readouterr().err
    assert frontier("--samples", "9", values=("[0.0, 0.1]", "[0.1]"))[0] == 2
    assert "not (9, 2)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "changes", "message"),
    [
        (["--rollouts", "3"], {}, "must be an even number"),
        (["--samples", "17"], {}, "has 16 samples, fewer than 17"),
        ([], {"values": ("[0.0, 0.1]", "[-1]")}, "token_price must be"),
        ([], {"seeds": ("[0]", "[-1]")}, "seed must be"),
        ([], {"across": ("reward.token_price", "optimiser.learning_rate")}, "not reward.token_"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_done(
    frontier, capsys, tmp_path, more, changes, message
):
    code, _ = frontier(*more, **changes)
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_recipe_lets_the_price_mean_what_it_says():
    """The group's deviation would rescale it; probes that only praise would hide it."""
    recipe = load_recipe("price")
    assert (recipe.reward.penalty, recipe.algorithm.name) == ("none", "dr_grpo")
    assert recipe.rollout.probes == 0 or recipe.algorithm.options["forced"] == "always"


def test_policies_are_compared_at_their_own_tokens():
    """One policy that asks where the oracle does, one that asks nobody."""
    low, high = np.array([[0] * 4, [1] * 4], bool), np.array([[1] * 4, [1] * 4], bool)
    common = {"low": low, "high": high, "noisy": low[:, 0], "greedy": low[:, :1]}
    clever = {"free": high, "asked": low == 0, "tokens": np.array([0.75, 0.25, 1.25])}
    idle = {"free": low, "asked": low & False, "tokens": np.array([0.25, 0.25, 1.25])}
    greedy = {"greedy_tokens": np.array(0.5), "greedy_asked": low[:, :1]}
    cells = {0.1: {**common, **clever, **greedy}, 0.9: {**common, **idle, **greedy}}
    told = prices.compared(cells, np.array([0, 0]), noise=0.25)
    first, second = told["policies"]
    assert (first["accuracy"], first["gap"]["oracle"][0]) == (1, 0)
    assert first["gap"]["mixing"][0] == -0.25  # a coin would get half of the gain
    assert (second["accuracy"], second["gap"]["oracle"][0]) == (0.5, 0)
    # 0.1 is 0.2 to a judge that flips a quarter: half of the pictures gain 1; 0.9 is 1.8
    assert first["at_price"]["oracle"] == {"accuracy": 1, "tokens": 0.75}
    assert second["at_price"]["oracle"] == {"accuracy": 0.5, "tokens": 0.25}
