"""Tiny random language models that read and write letter by letter."""

from __future__ import annotations

from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END = "</s>"
TEMPLATE = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}\n{% endfor %}<assistant>"


def letters_tokenizer(template: str = TEMPLATE) -> PreTrainedTokenizerFast:
    """One token a character; ``</s>`` ends and pads."""
    letters = {chr(code): place for place, code in enumerate(range(32, 127))}
    words = Tokenizer(models.WordLevel({**letters, "\n": 95, END: 96}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    words.add_special_tokens([END])
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="?", eos_token=END, pad_token=END
    )
    made.chat_template = template
    return made


def letters_model(**sizes: Any) -> Qwen2ForCausalLM:
    """Random weights, the same for torch's same seed."""
    config = Qwen2Config(
        vocab_size=97,
        hidden_size=64,  # heads of 32, which vLLM wants on a CPU
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=4096,
        eos_token_id=96,
        bos_token_id=None,
        **sizes,
    )
    return Qwen2ForCausalLM(config).eval()
