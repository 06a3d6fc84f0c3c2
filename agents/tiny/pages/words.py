"""The pages policy's tokenizer: long pieces for what is always said alike, else characters.

A turn is short: its thought is one token, a call's JSON is one up to what is looked for, that is
one, each edge of the box is one, and a value is read character by character. A call names what it
looks for before it says where, so that the label stands beside the edges that depend on it. The
chat template says of the system turn only which tools it declares, since the declaration is longer
than all else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from tokenizers import Regex, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from agents.tiny.tokenizer import chat_template, word_level
from vt_env.prompts import load_prompt
from vt_env.sources.pages.forms import FORM_LABELS, RECEIPT_LABELS
from vt_env.sources.pages.kinds import FIELD

CLEAR, BLURRY = "<think>clear</think>", "<think>blurry</think>"
"""The whole thought of a turn that answers, and of one that asks to see more."""
RESIZE, ZOOM = "resize_image", "image_zoom_in_tool"
LABELS = tuple(dict.fromkeys((*FORM_LABELS, *RECEIPT_LABELS)))
VALUES = "0123456789.:/"
"""Characters of values."""
EDGES = 64
"""Steps of a box's edges from side to side of the page."""

CHAT_TEMPLATE = chat_template(
    """\
{%- for message in messages -%}
{%- set said = message['content'] | string -%}
{%- if message['role'] != 'system' -%}
""",
    "".join(
        f"{{%- elif '{tool}' in said -%}}\n{{{{- '<|im_start|>system\\n{tool}<|im_end|>\\n' -}}}}\n"
        for tool in (RESIZE, ZOOM)
    )
    + "{%- endif -%}\n",
)

_CALL = '<tool_call>{{"name": "{}", "arguments": {{{}'
_ZOOM = _CALL.format(ZOOM, '"label": ')
_END = "]}}</tool_call>"
_RESIZE = _CALL.format(RESIZE, '"action": "resize"}}</tool_call>')


def answer_said(value: str) -> str:
    """The turn that answers."""
    return f"{CLEAR}<answer>{value}</answer>"


def resize_said() -> str:
    """The turn that asks for the original."""
    return f"{BLURRY}{_RESIZE}"


def zoom_said(edges: Sequence[int], label: str) -> str:
    """The turn that asks for a part of the page.

    Args:
        edges: Left, top, right and bottom, each from 0 to :data:`EDGES`.
        label: What is looked for.
    """
    return f"{zoom_begun()}{_label(label)}{', '.join(map(str, map(thousandths, edges)))}{_END}"


def zoom_begun() -> str:
    """The beginning of that turn, up to what is looked for."""
    return f"{BLURRY}{_ZOOM}"


def thousandths(edge: int) -> int:
    """A step of :data:`EDGES` as a call writes it: from 0 to 1000."""
    return round(1000 * edge / EDGES)


def edges_said(text: str) -> list[int] | None:
    """The box of a call as steps, to the nearest; ``None`` if the text holds none."""
    found = re.search(r"\[(\d+), (\d+), (\d+), (\d+)\]", text)
    return [round(int(number) * EDGES / 1000) for number in found.groups()] if found else None


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer, with its chat template; always the same."""
    pieces = list(_pieces())
    longest = sorted(pieces, key=len, reverse=True)
    cut = pre_tokenizers.Split(Regex("|".join([*map(_escaped, longest), r"\S+|\s"])), "isolated")
    return word_level(pieces, cut, CHAT_TEMPLATE)


def _label(label: str) -> str:
    return f'"{label}", "bbox_2d": ['


def _pieces() -> Iterable[str]:
    yield from ("user\n", "assistant\n", "system\n", "\n", " ", RESIZE, ZOOM)
    yield from (CLEAR, BLURRY, "<answer>", "</answer>", _RESIZE, _ZOOM)
    yield from load_prompt("tiny").tool_result.split("$image")
    yield from VALUES
    for edge in range(EDGES + 1):
        yield from (f"{thousandths(edge)}, ", f"{thousandths(edge)}{_END}")
    yield from map(_label, LABELS)
    yield from LABELS
    for wording in FIELD:
        yield from filter(None, wording.split("{0}"))


def _escaped(piece: str) -> str:
    return "".join(f"\\{sign}" if sign in r".?*+()[]{}|^$\/" else sign for sign in piece)
