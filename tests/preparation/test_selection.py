"""Equal numbers, by lot."""

import random

import pytest

from experiments.preparation.rule import (
    LOW_ENOUGH,
    NEEDS_HIGH,
    REST,
    Balance,
    LowestLots,
    Rule,
    lot,
)
from vt_env import ConfigError


def rows(counts):
    """Rows of which so many are right at (low, full)."""
    made = []
    for (low, full), count in counts.items():
        for _ in range(count):
            n = len(made)
            arms = {
                key: [{"correct": i < right} for i in range(8)]
                for key, right in (("low", low), ("full", full))
            }
            made.append({"id": f"r{n}", "n": n, "status": "played", **arms})
    return made


MIXED = {(8, 8): 30, (1, 8): 12, (4, 4): 20}


def test_each_class_is_cut_to_the_smallest():
    chosen = Balance().choose(rows(MIXED), Rule())
    assert {name: len(found) for name, found in chosen.items()} == {
        LOW_ENOUGH: 12,
        NEEDS_HIGH: 12,
    }
    assert all(n < 30 for n in chosen[LOW_ENOUGH])
    assert chosen[NEEDS_HIGH] == list(range(30, 42))
    few = Balance(per_class=5).choose(rows(MIXED), Rule())
    assert [len(found) for found in few.values()] == [5, 5]
    assert set(few[LOW_ENOUGH]) < set(chosen[LOW_ENOUGH])
    all_there_is = Balance(equal=False).choose(rows(MIXED), Rule())
    assert [len(found) for found in all_there_is.values()] == [30, 12]
    rest = Balance((REST, NEEDS_HIGH), 10).choose(rows(MIXED), Rule())
    assert [len(found) for found in rest.values()] == [10, 10]


def test_the_choice_depends_on_seed_and_id_only():
    made = rows(MIXED)
    shuffled = random.Random(1).sample(made, len(made))
    assert Balance().choose(made, Rule()) == Balance().choose(shuffled, Rule())
    other = Balance(seed=1).choose(made, Rule())
    assert other[LOW_ENOUGH] != Balance().choose(made, Rule())[LOW_ENOUGH]


def test_the_draw_is_even():
    taken = [0] * 50
    for seed in range(400):
        lots = LowestLots(10)
        for n in range(50):
            lots.add(lot(seed, f"s{n}"), n)
        for n in lots.places(10):
            taken[n] += 1
    assert sum(taken) == 4000
    assert 45 < min(taken) <= max(taken) < 120  # 80 expected, 8 the standard deviation


def test_other_rows_are_passed_over():
    made = [{"id": "a", "n": 0, "status": "refused"}, *rows({})]
    assert Balance().choose(made, Rule()) == {LOW_ENOUGH: [], NEEDS_HIGH: []}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"classes": ("low_enuf",)}, "Did you mean 'low_enough'"),
        ({"classes": ()}, "each once"),
        ({"classes": (REST, REST)}, "each once"),
        ({"per_class": 0}, "at least 1"),
    ],
)
def test_choices_that_make_no_sense(told, message):
    with pytest.raises(ConfigError, match=message):
        Balance(**told)
