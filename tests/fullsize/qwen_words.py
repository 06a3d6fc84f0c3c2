"""Qwen's real vocabulary as a tokenizer of transformers.

The package dashscope brings the vocabulary as ranks of byte sequences; that of Qwen3.5, which is
larger, is in no package: there the same words stand, and its special tokens at their own numbers.
"""

from __future__ import annotations

import base64
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

SPECIAL = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>"),
    *("<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>"),
    *("<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)
"""In their order; ``<|vision_start|>`` is the number that a configuration names."""

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def ranks() -> dict[bytes, int]:
    """The vocabulary: byte sequences and their numbers."""
    found = find_spec("dashscope")
    assert found is not None
    assert found.origin is not None
    lines = (Path(found.origin).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    pairs = (line.split() for line in lines)
    return {base64.b64decode(token): int(number) for token, number in pairs}


def words_of(first_special: int, template: str) -> PreTrainedTokenizerFast:
    """A tokenizer.

    Args:
        first_special: Number of ``<|endoftext|>``.
        template: Chat template.
    """
    known, letters = ranks(), bytes_to_unicode()

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {written(token): number for token, number in known.items()}
    vocabulary |= {f"<|none-{n}|>": n for n in range(len(known), first_special)}
    merges = [
        (number, written(token[:cut]), written(token[cut:]))
        for token, number in known.items()
        for cut in range(1, len(token))
        if token[:cut] in known and token[cut:] in known
    ]
    merges.sort(key=lambda merge: merge[0])
    made = Tokenizer(models.BPE(vocabulary, [(left, right) for _, left, right in merges]))
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=131_072,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    return fast
