"""A quarter of a million parameters that learn, on a laptop, when to ask for the full picture.

The model is the stock Qwen2.5-VL of ``transformers`` with small sizes and a tokenizer of its own,
so that its checkpoint loads wherever that family does. :func:`warm_up` teaches it the format and
to read pictures; whether to ask is left to reinforcement learning.
"""

from agents.tiny.agent import TinyAgent
from agents.tiny.checkpoint import TinyConfig, make_vlm, save
from agents.tiny.warmup import WarmupConfig, warm_up

__all__ = ["TinyAgent", "TinyConfig", "WarmupConfig", "make_vlm", "save", "warm_up"]
