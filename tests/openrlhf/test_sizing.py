"""What docs/trainers.md says of sizes, worked out again without a GPU or a checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration  # noqa: E402

from vt_env.tokens import token_counter  # noqa: E402

PAGE = (Path(__file__).parents[2] / "docs" / "trainers.md").read_text("utf-8")
VISION = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420}
TEXT = {
    "7B": {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "3B": {
        "hidden_size": 2048,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "intermediate_size": 11008,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
}
"""As the checkpoints' config.json has it."""


def billions(size: str) -> float:
    """Parameters of a model that is never given any memory."""
    text = TEXT[size]
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={**VISION, "out_hidden_size": text["hidden_size"]},
        tie_word_embeddings=text["tie_word_embeddings"],
    )
    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.tie_weights()
    return sum(p.numel() for p in model.parameters()) / 1e9


@pytest.mark.parametrize("size", ["7B", "3B"])
def test_models_have_as_many_parameters_as_the_page_says(size):
    (written,) = re.findall(rf"{size} \(([\d.]+)\)", PAGE)
    assert billions(size) == pytest.approx(float(written), abs=0.06)


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
