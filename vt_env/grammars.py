"""What a policy's turn says: one total parser from text to action.

A turn thinks once, then either answers or calls one tool::

    <think>…</think> <answer>…</answer>
    <think>…</think> <tool_call>{"name": "resize_image", "arguments": {…}}</tool_call>

That is VisionThink's grammar. Other protocols write calls otherwise, several in a turn, or answer
without tags: a :class:`Grammar` says what differs.

What a turn *does* and whether it is *well formed* are two things. A turn with exactly one closed
answer answers, also when its thoughts are missing; its flaws cost the format reward. A turn that
cannot be understood is :class:`Malformed`. Every rule of the format is decided here and nowhere
else. Any string, of any length, in any grammar, gives exactly one of the three, in linear time.
JSON is read strictly: no key twice, no number without a finite, exact size.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple, cast, get_args

from vt_env.actions import Action, Answer, Malformed, ToolCall
from vt_env.errors import ConfigError, unknown_name
from vt_env.marks import CHAT_MARK
from vt_env.strict_json import strict_json

_END_MARKS = ("<|im_end|>", "<|endoftext|>")
_BOX_MARKS = ("<|begin_of_box|>", "<|end_of_box|>")

Form = Literal["json", "arguments", "line"]
Several = Literal["one", "last", "all"]


class _Span(NamedTuple):
    """Where a block stands: its begin, its content's begin and end, its end."""

    start: int
    inner: int
    stop: int
    end: int


@dataclass(frozen=True, slots=True)
class Grammar:
    """How turns are written. The defaults are VisionThink's.

    Attributes:
        mark: The tag around a call; in the form ``line`` the word that a line of calls begins with.
        form: What stands there:

            * ``json``: ``{"name": …, "arguments": {…}}``.
            * ``arguments``: the arguments alone, of ``tool``.
            * ``line``: behind a colon to the end of the line a list, the one argument ``items`` of
              ``tool``; single quotes are allowed.
        tool: Which tool is called where the call does not name one.
        several: With more than one call in a turn: ``one`` is malformed, ``last`` carries out the
            last and reads no other, ``all`` carries out all.
        most: Calls in a turn at most, with ``all``.
        opened: Whether the chat template has written ``<think>`` already, so that a turn begins
            inside; see :func:`opened_turn`. Agents put it back themselves: this is for who steps
            with a server's replies as they come.
        plain: Whether a turn without a call is an answer as it stands: thoughts are allowed before
            it, and neither tag is needed.
        box_marks: Whether ``<|begin_of_box|>…<|end_of_box|>`` may stand around an answer, as the
            GLM-V family writes it, or in place of the tags.

    Raises:
        ConfigError: On a setting out of range, or two that contradict each other.
    """

    mark: str = "tool_call"
    form: Form = "json"
    tool: str = ""
    several: Several = "one"
    most: int = 8
    opened: bool = False
    plain: bool = False
    box_marks: bool = False

    def __post_init__(self) -> None:
        for name, known in (("form", get_args(Form)), ("several", get_args(Several))):
            if getattr(self, name) not in known:
                raise unknown_name(f"grammar's {name}", getattr(self, name), known)
        if not re.fullmatch(r"\w{1,40}", self.mark) or self.mark in ("think", "answer"):
            raise ConfigError(f"a grammar's mark is a word other than think, got {self.mark!r:.60}")
        if (self.form == "json") == bool(self.tool):
            raise ConfigError("a grammar names a tool where its calls do not, and only there")
        if self.most < 1:
            raise ConfigError(f"a grammar's most must be at least 1, got {self.most}")

    @property
    def ends(self) -> tuple[str, ...]:
        """Where a turn may be taken to end: stop strings. None where a turn may go on after."""
        if self.plain or self.several != "one":
            return ()
        return "</answer>", f"</{self.mark}>"

    def write(self, action: ToolCall | Answer) -> str:
        """A well-formed turn that is read as this action.

        Raises:
            TypeError: If the arguments cannot be written as JSON.
            ValueError: If a number in them is not finite.
        """
        if isinstance(action, Answer):
            said = action.text if self.plain else f"<answer>{action.text}</answer>"
        else:
            said = "\n".join(self._written(call) for call in action.calls)
        if self.plain and not self.opened and not action.thought:
            return said
        return f"<think>{action.thought}</think>\n{said}"

    def begun(self, tool: str = "") -> str:
        """What a call begins with; of one tool, where calls name theirs, up to its arguments."""
        if self.form == "line":
            return f"{self.mark}:"
        named = f'{{"name": {json.dumps(tool)},' if tool and self.form == "json" else ""
        return f"<{self.mark}>{named}"

    def _written(self, call: ToolCall) -> str:
        arguments = dict(call.arguments)
        if self.form == "line":
            return f"{self.mark}: {json.dumps(arguments.get('items', []), allow_nan=False)}"
        value: Any = {"name": call.name, "arguments": arguments}
        if self.form == "arguments":
            value = arguments
        return f"<{self.mark}>{json.dumps(value, allow_nan=False)}</{self.mark}>"

    def read(self, text: str) -> Action:
        """Read one turn.

        One end-of-turn mark at the very end is ignored, as is white space around blocks. Any other
        chat mark (``<|…|>``) could forge a turn when the conversation is rendered again, so the
        turn is malformed.

        Args:
            text: Anything, also empty, broken or megabytes long.
        """
        body = self._body(text)
        if not body or body.isspace():
            return Malformed("the turn is empty; expected <think>…</think> and an answer or a call")
        counts = {name: (body.count(f"<{name}>"), body.count(f"</{name}>")) for name in _TAGS}
        spans = self._calls(body)
        tried_call = not isinstance(spans, Malformed) and bool(spans)
        tried_call = tried_call or isinstance(spans, Malformed)
        if "<|" in body and (mark := CHAT_MARK.search(body)):
            return Malformed(f"chat mark {mark[0]} inside the turn", tried_call)
        if tried_call and counts["answer"] != (0, 0):
            return Malformed("an answer and a tool call in one turn; expected one of them", True)
        if not spans:
            spans = self._answer(body, counts)
        if isinstance(spans, Malformed):
            return spans
        thought, flaws = self._thought(body, counts["think"], spans[0].start)
        flaws = (*flaws, *self._around(body, spans))
        contents = [body[span.inner : span.stop].strip() for span in spans]
        if not tried_call:
            return Answer(contents[0], thought, flaws)
        return self._read_calls(contents, thought, flaws)

    def _body(self, text: str) -> str:
        body = _without_end_mark(text)
        if self.opened:
            body = opened_turn(body)
        if self.box_marks:
            tags = ("", "") if "<answer>" in body or self.plain else ("<answer>", "</answer>")
            for mark, tag in zip(_BOX_MARKS, tags, strict=True):
                body = body.replace(mark, tag)
        return body

    def _calls(self, body: str) -> list[_Span] | Malformed:
        """Where the calls stand; none if there are none, malformed if their marks do not fit."""
        if self.form == "line":
            found = _lines(body, f"{self.mark}:")
            opened = closed = len(found)
        else:
            opened, closed = body.count(f"<{self.mark}>"), body.count(f"</{self.mark}>")
            found = []
        if self.several == "one" and (opened, closed) not in ((0, 0), (1, 1)):
            return Malformed(_expected_one(self.mark, opened, closed), True)
        if self.form != "line":
            if opened != closed:
                return Malformed(_unpaired(self.mark, opened, closed), True)
            found = _pairs(body, self.mark)
            if len(found) != opened:
                return Malformed(f"</{self.mark}> stands before <{self.mark}>", True)
        if self.several == "all" and len(found) > self.most:
            return Malformed(f"{len(found)} calls in one turn; at most {self.most} may be", True)
        return found

    def _answer(self, body: str, counts: Mapping[str, tuple[int, int]]) -> list[_Span] | Malformed:
        """Where the answer stands."""
        opened, closed = counts["answer"]
        if self.plain and (opened, closed) == (0, 0):
            start = body.rfind("</think>")
            if start < 0 and body.lstrip().startswith("<think>"):
                return Malformed("the turn is all thought; expected </think> and what follows it")
            start = 0 if start < 0 else start + len("</think>")
            return [_Span(start, start, len(body), len(body))]
        if (opened, closed) != (1, 1):
            return Malformed(_expected_one("answer", opened, closed))
        return _pairs(body, "answer") or Malformed("</answer> stands before <answer>")

    def _thought(
        self, body: str, count: tuple[int, int], block_start: int
    ) -> tuple[str, tuple[str, ...]]:
        """The thoughts, and what is wrong with their tags."""
        if count == (0, 0) and self.plain:
            return "", ()
        if count != (1, 1):
            return "", (_expected_one("think", *count),)
        start, end = body.find("<think>"), body.find("</think>")
        if not start < end < block_start:
            return "", ("<think>…</think> must stand before the answer or the call",)
        flaws = ("text before <think>",) if body[:start].strip() else ()
        if "<tool_response>" in body or "</tool_response>" in body:
            flaws = (*flaws, "only the environment writes <tool_response>")
        return body[start + 7 : end].strip(), flaws

    def _around(self, body: str, spans: Sequence[_Span]) -> tuple[str, ...]:
        """What is wrong between and after the blocks."""
        end = "the call" if self.form == "line" else f"</{self.mark}>"
        if body.startswith("<answer>", spans[0].start):
            end = "</answer>"
        between = any(body[a.end : b.start].strip() for a, b in pairwise(spans))
        after = bool(body[spans[-1].end :].strip())
        return ("text between calls",) * between + (f"text after {end}",) * after

    def _read_calls(
        self, contents: Sequence[str], thought: str, flaws: tuple[str, ...]
    ) -> ToolCall | Malformed:
        read = [self._call(content) for content in contents[-(self.several == "last") :]]
        if bad := [call for call in read if isinstance(call, Malformed)]:
            return bad[0]
        first, *more = cast("list[ToolCall]", read)
        return replace(first, thought=thought, flaws=flaws, also=tuple(more))

    def _call(self, content: str) -> ToolCall | Malformed:
        """Read one call strictly: declared keys only, none twice, numbers of finite size."""
        if self.form == "line":
            content = content.replace("'", '"')
        try:
            value = strict_json(content)
        except ValueError as error:
            return Malformed(f"the tool call is not valid JSON: {error}", True)
        if self.form == "line":
            if not isinstance(value, list):
                return Malformed(f"behind {self.mark}: expected a list […]", True)
            return ToolCall(self.tool, {"items": value})
        if self.form == "arguments":
            if not isinstance(value, dict):
                return Malformed(f"in <{self.mark}> expected an object {{…}}", True)
            return ToolCall(self.tool, cast("dict[str, Any]", value))
        if not isinstance(value, dict) or value.keys() != {"name", "arguments"}:
            return Malformed('a tool call is {"name": …, "arguments": {…}} and nothing else', True)
        fields = cast("dict[str, Any]", value)
        if not isinstance(fields["name"], str) or not isinstance(fields["arguments"], dict):
            return Malformed('in a tool call "name" is a string and "arguments" an object', True)
        return ToolCall(fields["name"], cast("dict[str, Any]", fields["arguments"]))


VISIONTHINK = Grammar()
_TAGS = ("think", "answer")


def parse(text: str) -> Action:
    """Read one turn in VisionThink's grammar; see :meth:`Grammar.read`."""
    return VISIONTHINK.read(text)


def opened_turn(text: str) -> str:
    """A turn whose ``<think>`` its chat template has written, with it.

    A policy that writes it all the same may; what is empty stays empty.
    """
    if not text.strip() or text.lstrip().startswith("<think>"):
        return text
    return f"<think>\n{text}"


def _without_end_mark(text: str) -> str:
    body = text.rstrip()
    for mark in _END_MARKS:
        if body.endswith(mark):
            return body[: -len(mark)]
    return body


def _expected_one(block: str, opened: int, closed: int) -> str:
    return (
        f"expected exactly one <{block}>…</{block}>, found {opened} opening and {closed} "
        "closing tags"
    )


def _unpaired(block: str, opened: int, closed: int) -> str:
    return f"expected as many <{block}> as </{block}>, found {opened} and {closed}"


def _pairs(body: str, tag: str) -> list[_Span]:
    """The blocks of a tag, as long as each closes before the next opens."""
    spans: list[_Span] = []
    opening, closing, end = f"<{tag}>", f"</{tag}>", 0
    while (start := body.find(opening, end)) >= 0:
        inner = start + len(opening)
        stop, following = body.find(closing, end), body.find(opening, inner)
        if stop < inner or -1 < following < stop:
            break
        end = stop + len(closing)
        spans.append(_Span(start, inner, stop, end))
    return spans


def _lines(body: str, beginning: str) -> list[_Span]:
    """The lines that begin with a mark."""
    spans: list[_Span] = []
    place = 0
    for line in body.splitlines(keepends=True):
        if (bare := line.lstrip()).startswith(beginning):
            start = place + len(line) - len(bare)
            spans.append(_Span(start, start + len(beginning), place + len(line), place + len(line)))
        place += len(line)
    return spans
