"""What docs/trainers.md says of sizes, worked out again without a GPU or a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from real_models import shape_of

from vt_env.tokens import token_counter

PAGE = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text("utf-8")


@pytest.mark.parametrize("size", ["7B", "3B"])
def test_models_have_as_many_parameters_as_the_page_says(size):
    (written,) = re.findall(rf"{size} \(([\d.]+)\)", PAGE)
    counted = shape_of(f"Qwen/Qwen2.5-VL-{size}-Instruct").parameters / 1e9
    assert counted == pytest.approx(float(written), abs=0.06)


@pytest.mark.parametrize(
    ("name", "bytes_each"),
    [
        ("weights, bfloat16", 2),
        ("gradients, float32", 4),
        ("optimiser: float32 weights, two moments", 12),
    ],
)
def test_the_table_of_memory_is_arithmetic(name, bytes_each):
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {name} |")]
    cells = [cell.strip() for cell in row.split("|")[3:5]]
    for cell, learners in zip(cells, (8, 32), strict=True):
        assert float(cell) == pytest.approx(bytes_each * 8.3 / learners, abs=0.06)


def test_the_table_of_visual_tokens_is_the_counters():
    counter = token_counter("qwen2.5-vl")
    rows = re.findall(r"\| (\d+) × (\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE)
    assert len(rows) >= 3
    for width, height, *counts in rows:
        size = int(width), int(height)
        first, full = counter.count(size[0] // 2, size[1] // 2), counter.count(*size)
        assert [int(c.replace(",", "")) for c in counts] == [first, full, first + full]
