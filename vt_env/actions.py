"""What a policy's turn says: one total parser from text to action.

A turn thinks once, then either answers or calls one tool::

    <think>…</think> <answer>…</answer>
    <think>…</think> <tool_call>{"name": "resize_image", "arguments": {…}}</tool_call>

What a turn *does* and whether it is *well formed* are two things. A turn with exactly one closed
answer answers, also when its thoughts are missing; its flaws cost the format reward. A turn that
cannot be understood is :class:`Malformed`. Every rule of the format is decided here and nowhere
else. Any string, of any length, gives exactly one of the three, in linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

_END_MARKS = ("<|im_end|>", "<|endoftext|>")
_CHAT_MARK = re.compile(r"<\|[a-z_]{1,32}\|>")
_BLOCKS = ("think", "answer", "tool_call")


@dataclass(frozen=True, slots=True)
class Answer:
    """The turn answers, which ends the episode.

    Attributes:
        text: What stands between the answer tags, stripped.
        thought: What stands between the think tags, stripped.
        flaws: Rules of the format that the turn breaks; none if it is well formed.
    """

    text: str
    thought: str = ""
    flaws: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The turn calls a tool. Also an action of its own: ``env.step(ToolCall("resize_image", …))``.

    Attributes:
        name: The tool's name.
        arguments: Its arguments, as parsed from JSON.
        thought: What stands between the think tags, stripped.
        flaws: Rules of the format that the turn breaks; none if it is well formed.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    thought: str = ""
    flaws: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The same action as text.

        Raises:
            TypeError: If the arguments cannot be written as JSON.
        """
        call = json.dumps({"name": self.name, "arguments": dict(self.arguments)}, allow_nan=False)
        return f"<think>{self.thought}</think>\n<tool_call>{call}</tool_call>"


@dataclass(frozen=True, slots=True)
class Malformed:
    """The turn neither answers nor makes a call that can be read.

    Attributes:
        reason: What was expected and what came.
        tried_call: Whether it meant to call a tool: then the environment says what was wrong and
            the policy may try again; otherwise the episode ends without an answer.
    """

    reason: str
    tried_call: bool = False

    @property
    def flaws(self) -> tuple[str, ...]:
        """The reason, as the one flaw."""
        return (self.reason,)


Action = Answer | ToolCall | Malformed


def calls(action: Action) -> bool:
    """Whether a turn meant to call a tool, so that the environment has something to say."""
    return isinstance(action, ToolCall) or (isinstance(action, Malformed) and action.tried_call)


def parse(text: str) -> Action:
    """Read one turn.

    One end-of-turn mark at the very end is ignored, as is white space around blocks. Any other
    chat mark (``<|…|>``) could forge a turn when the conversation is rendered again, so the turn
    is malformed.

    Args:
        text: Anything, also empty, broken or megabytes long.
    """
    body = _without_end_mark(text)
    if not body or body.isspace():
        return Malformed("the turn is empty; expected <think>…</think> and an answer or a call")
    counts = {name: (body.count(f"<{name}>"), body.count(f"</{name}>")) for name in _BLOCKS}
    tried_call = counts["tool_call"] != (0, 0)
    if "<|" in body and (mark := _CHAT_MARK.search(body)):
        return Malformed(f"chat mark {mark[0]} inside the turn", tried_call)
    if tried_call and counts["answer"] != (0, 0):
        return Malformed("an answer and a tool call in one turn; expected one of them", True)
    block = "tool_call" if tried_call else "answer"
    if counts[block] != (1, 1):
        opened, closed = counts[block]
        return Malformed(
            f"expected exactly one <{block}>…</{block}>, found {opened} opening and {closed} "
            "closing tags",
            tried_call,
        )
    start, end = body.find(f"<{block}>"), body.find(f"</{block}>")
    if end < start:
        return Malformed(f"</{block}> stands before <{block}>", tried_call)
    content = body[start + len(block) + 2 : end].strip()
    thought, flaws = _thought(body, counts["think"], start, end)
    if body[end + len(block) + 3 :].strip():
        flaws = (*flaws, f"text after </{block}>")
    if tried_call:
        return _call(content, thought, flaws)
    return Answer(content, thought, flaws)


def _without_end_mark(text: str) -> str:
    body = text.rstrip()
    for mark in _END_MARKS:
        if body.endswith(mark):
            return body[: -len(mark)]
    return body


def _thought(
    body: str, count: tuple[int, int], block_start: int, block_end: int
) -> tuple[str, tuple[str, ...]]:
    """The thoughts, and what is wrong with their tags."""
    if count != (1, 1):
        return "", (
            f"expected exactly one <think>…</think>, found {count[0]} opening and {count[1]} "
            "closing tags",
        )
    start, end = body.find("<think>"), body.find("</think>")
    if not start < end < block_start:
        return "", ("<think>…</think> must stand before the answer or the call",)
    flaws = ("text before <think>",) if body[:start].strip() else ()
    if "<tool_response>" in body or "</tool_response>" in body:
        flaws = (*flaws, "only the environment writes <tool_response>")
    return body[start + 7 : end].strip(), flaws


def _call(content: str, thought: str, flaws: tuple[str, ...]) -> ToolCall | Malformed:
    """Read the JSON of a call strictly: declared keys only, none twice, no NaN."""
    try:
        call = json.loads(content, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return Malformed(f"the tool call is not valid JSON: {_short(error)}", True)
    if not isinstance(call, dict) or call.keys() != {"name", "arguments"}:
        return Malformed('a tool call is {"name": …, "arguments": {…}} and nothing else', True)
    fields = cast("dict[str, Any]", call)
    if not isinstance(fields["name"], str) or not isinstance(fields["arguments"], dict):
        return Malformed('in a tool call "name" is a string and "arguments" an object', True)
    arguments = cast("dict[str, Any]", fields["arguments"])
    return ToolCall(fields["name"], arguments, thought, flaws)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key appears twice")
    return made


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _short(error: Exception) -> str:
    text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
    return text if len(text) <= 120 else text[:117] + "…"
