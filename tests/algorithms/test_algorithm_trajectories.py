"""Fifty steps of each algorithm on a toy policy, held against stored ones.

After a change that is meant to change them, from the repository's root:

    PYTHONPATH=. python tests/algorithms/test_algorithm_trajectories.py
"""

import json
from pathlib import Path

import pytest
from algorithm_toys import NAMES, trajectory

from trainers.algorithms import make_algorithm

GOLDEN = Path(__file__).with_name("golden.json")
EVERY = 10
"""Steps between two stored ones."""
RATES = {"dr_grpo": 1000.0, "gspo": 3.0, "rloo": 1.0}
"""Step sizes where not 0.5: a constant normaliser sets another scale."""


def found(name: str) -> dict[str, list[float]]:
    keywords = {"kl_coef": 0.01} if name != "dr_grpo" else {}
    rows = trajectory(make_algorithm(name, **keywords), rate=RATES.get(name, 0.5))
    return {key: row if key == "logits" else row[::EVERY] + row[-1:] for key, row in rows.items()}


@pytest.mark.parametrize("name", NAMES)
def test_trajectory(name: str) -> None:
    """Tolerance: float64 and 200 updates; sums in another order differ by about 1e-12."""
    golden = json.loads(GOLDEN.read_text())[name]
    rows = found(name)
    assert rows.keys() == golden.keys()
    for key, expected in golden.items():
        assert rows[key] == pytest.approx(expected, rel=1e-6, abs=1e-9), key
    assert rows["reward"][-1] > rows["reward"][0] + 0.2


if __name__ == "__main__":
    table = {
        name: {key: [float(f"{x:.12g}") for x in row] for key, row in found(name).items()}
        for name in NAMES
    }
    GOLDEN.write_text(json.dumps(table, indent=1) + "\n")
