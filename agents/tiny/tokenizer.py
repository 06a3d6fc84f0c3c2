"""The tiny policy's tokenizer: the environment's words, and one token for all others.

Text is cut at white space, and every piece that the environment or the policy says is one token.
Two digits are two tokens: a number is read digit by digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agents.base import answer_turn, request_turn
from vt_env.prompts import load_prompt
from vt_env.sources.drawing import COLOURS, CORNERS, SHAPES, TEXTURES
from vt_env.sources.generated import KINDS

PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
IMAGE_START, IMAGE_END = "<|vision_start|>", "<|vision_end|>"
IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
UNKNOWN = "<|unknown|>"
SPECIAL = (PAD, TURN_START, TURN_END, IMAGE_START, IMAGE_END, "<|vision_pad|>", IMAGE, VIDEO)
"""Named as in Qwen's vocabularies, since code that loads the family looks for these names."""

TAGS = tuple(
    f"<{slash}{tag}>"
    for tag in ("think", "answer", "tool_call", "tool_response")
    for slash in ("", "/")
)

CLEAR, BLURRY = "clear", "blurry"
"""The whole thought of a turn that answers, and of one that asks for the original."""

_TURN = """\
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['content'] is string -%}
{{- message['content'] -}}
{%- else -%}
{%- for block in message['content'] -%}
{%- if block['type'] == 'image' or 'image' in block or 'image_url' in block -%}
{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
{%- elif 'text' in block -%}
{{- block['text'] -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
"""
_PROMPT = """\
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}"""


def chat_template(before: str, after: str = "") -> str:
    """A template of Qwen's mark-up, in Jinja.

    Args:
        before: Begins the loop over messages; what follows writes one of the user or the policy.
        after: Ends what ``before`` opened, but for the loop.
    """
    return before + _TURN + after + _PROMPT


CHAT_TEMPLATE = chat_template("{%- for message in messages if message['role'] != 'system' -%}\n")
"""Without the system turn, whose declaration of the tool is longer than all else."""

_PIECE = r"[0-9]| ?[^\s0-9]+\n?|\s"


def direct_turn(answer: str) -> str:
    """The policy's turn that answers."""
    return answer_turn(answer, CLEAR).replace("\n", "")


def call_turn() -> str:
    """The policy's turn that asks for the original."""
    return request_turn(BLURRY).replace("\n", "")


def make_tokenizer(more: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """The tokenizer, with its chat template; always the same.

    Args:
        more: Further texts whose words it knows.
    """
    cut = pre_tokenizers.Split(Regex(_PIECE), "isolated")
    marks = re.compile("|".join(map(re.escape, TAGS)))
    further = [part for text in more for part in marks.split(text) if part]
    texts = [*_texts(), *further]
    pieces = [piece for text in texts for piece, _ in cut.pre_tokenize_str(text)]
    return word_level(pieces, cut, CHAT_TEMPLATE, TAGS)


def word_level(
    words: Iterable[str], cut: pre_tokenizers.Split, template: str, tags: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each word, and one for all that is none.

    Args:
        words: In the order of their numbers; a word may come again.
        cut: Cuts a text into words.
        template: Of conversations.
        tags: Words that are never cut.
    """
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys((UNKNOWN, *words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([UNKNOWN, *SPECIAL])
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in tags])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template
    return fast


def _texts() -> Iterable[str]:
    """Everything that is said when nothing goes wrong, without marks and tags."""
    prompt = load_prompt("tiny")
    marks = re.compile("|".join(re.escape(mark) for mark in ("$image", "$question", *TAGS)))
    for said in (prompt.question, prompt.tool_result, call_turn(), direct_turn("")):
        yield from filter(None, marks.split(said))
    yield from ("user\n", "assistant\n", "\n", " ", "0123456789")
    yield from (kind.question for kind in KINDS.values())
    yield from (*COLOURS, *SHAPES, *CORNERS, *TEXTURES)
