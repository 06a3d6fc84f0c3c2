"""The pages policy's model: a stock Qwen2.5-VL of two million parameters and the real grid.

A patch has 14 pixels and a visual token 2 x 2 patches, as in the released models: a 224 x 224 page
has 64 visual tokens, and 16 at half size. All layers of the vision encoder see the whole picture.
"""

from __future__ import annotations

from agents.models.qwen import QwenVL
from agents.tiny import checkpoint
from agents.tiny.pages.words import make_tokenizer

SIZES = checkpoint.TinyConfig(
    width=128,
    layers=3,
    vision_layers=4,
    scale=0.05,
    patch_scale=0.03,
    inner=3,
    tied=False,
    family="qwen2.5-vl",
    deviation=0.27,
)


def make_vlm(seed: int = 0) -> QwenVL:
    """An untrained model, ready to be used. Torch's global generator is left as it was."""
    return checkpoint.make_vlm(SIZES, seed, make_tokenizer())
