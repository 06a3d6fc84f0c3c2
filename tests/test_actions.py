"""The parser is total, strict about the format, and linear."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vt_env.actions import Answer, Malformed, ToolCall, calls
from vt_env.grammars import parse

CALL = '{"name": "resize_image", "arguments": {"action": "resize"}}'
ASK = f"<think>blurry</think>\n<tool_call>{CALL}</tool_call>"
PIECES = st.sampled_from(
    [
        "<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>",
        "<tool_response>", "<|im_end|>", "<|im_start|>", CALL, "{", "}", "[", '"', "47", "\n", " ",
        "<", "\ud800", "é", "<answer", "think>",
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think><answer>47</answer>", "47"),
        ("<think>a</think>\n\n<answer> forty seven </answer>\n", "forty seven"),
        ("  <think></think><answer></answer>", ""),
        ("<think>a < b</think> so <answer>x</answer><|im_end|>", "x"),
        ("<think>a</think><answer>x</answer><|im_end|>\n", "x"),
        ("<think>a</think><answer>1 < 2\n3</answer>", "1 < 2\n3"),
    ],
)
def test_well_formed_answers(text: str, answer: str) -> None:
    action = parse(text)
    assert isinstance(action, Answer)
    assert action.text == answer
    assert not action.flaws


@pytest.mark.parametrize(
    ("text", "answer", "flaw"),
    [
        ("<answer>47</answer>", "47", "exactly one <think>"),
        ("<think>a<answer>47</answer>", "47", "1 opening and 0 closing"),
        ("<think>a</think><think>b</think><answer>47</answer>", "47", "2 opening"),
        ("<answer>47</answer><think>a</think>", "47", "must stand before"),
        ("</think>a<think><answer>47</answer>", "47", "must stand before"),
        ("<think>a<answer>47</answer></think>", "47", "must stand before"),
        ("Sure! <think>a</think><answer>47</answer>", "47", "text before <think>"),
        ("<think>a</think><answer>47</answer> I hope", "47", "text after </answer>"),
        ("<think><tool_response></think><answer>47</answer>", "47", "only the environment"),
    ],
)
def test_an_answer_with_flaws_still_answers(text: str, answer: str, flaw: str) -> None:
    action = parse(text)
    assert isinstance(action, Answer)
    assert action.text == answer
    assert any(flaw in f for f in action.flaws)


@pytest.mark.parametrize("turn", ["<answer>47</answer>", "<answer>47</answer><think>late</think>"])
def test_thoughts_that_break_the_format_are_none(turn: str) -> None:
    action = parse(turn)
    assert isinstance(action, Answer)
    assert (action.text, action.thought) == ("47", "")
    assert action.flaws


def test_a_call_and_its_text_are_the_same_action() -> None:
    call = ToolCall("resize_image", {"action": "resize"}, thought="blurry")
    assert parse(call.text) == call
    assert parse(ASK) == call
    assert not call.flaws


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not valid JSON"),
        ("resize_image", "not valid JSON"),
        ('{"name": "resize_image"', "not valid JSON"),
        (CALL + CALL, "not valid JSON"),
        ("[1]", 'is {"name"'),
        ('{"name": "resize_image"}', 'is {"name"'),
        ('{"name": "a", "arguments": {}, "id": 1}', 'is {"name"'),
        ('{"name": 1, "arguments": {}}', '"name" is a string'),
        ('{"name": "a", "arguments": "{}"}', '"arguments" an object'),
        ('{"name": "a", "name": "b", "arguments": {}}', "twice"),
        ('{"name": "a", "arguments": {"x": NaN}}', "NaN is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"name": "a", "arguments": {"x": ' + "[" * 63 + "]" * 63 + "}}", "nested too deeply"),
        ('{"name": "a", "arguments": {"x": ' + "9" * 5000 + "}}", "not valid JSON"),
    ],
)
def test_calls_that_cannot_be_read(content: str, reason: str) -> None:
    action = parse(f"<think>a</think><tool_call>{content}</tool_call>")
    assert isinstance(action, Malformed)
    assert action.tried_call
    assert reason in action.reason
    assert len(action.reason) < 250


def test_arguments_may_be_nested() -> None:
    call = '{"name": "a", "arguments": {"x": ' + "[" * 62 + "]" * 62 + "}}"
    assert isinstance(parse(f"<think>a</think><tool_call>{call}</tool_call>"), ToolCall)


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        (ToolCall("a"), True),
        (Malformed("no JSON", tried_call=True), True),
        (Malformed("empty"), False),
        (Answer("47"), False),
    ],
)
def test_who_meant_to_call(action: Answer | ToolCall | Malformed, meant: bool) -> None:
    assert calls(action) is meant


@pytest.mark.parametrize(
    ("text", "reason", "tried_call"),
    [
        ("", "empty", False),
        (" \n\t", "empty", False),
        ("<|im_end|>", "empty", False),
        ("47", "exactly one <answer>", False),
        ("<think>a</think> 47", "found 0 opening and 0 closing", False),
        ("<think>a</think><answer>47", "1 opening and 0 closing", False),
        ("<answer><answer>47</answer></answer>", "2 opening and 2 closing", False),
        ("<answer>1</answer><answer>2</answer>", "2 opening and 2 closing", False),
        ("</answer>47<answer>", "stands before", False),
        (ASK + ASK, "2 opening and 2 closing", True),
        (f"<tool_call>{ASK}</tool_call>", "2 opening and 2 closing", True),
        (ASK + "<answer>47</answer>", "one of them", True),
        ("<think>a</think><tool_call>", "1 opening and 0 closing", True),
        ("<answer>47</answer><|im_end|><|im_start|>user", "<|im_end|>", False),
        ("<answer><|image_pad|></answer>", "<|image_pad|>", False),
    ],
)
def test_malformed_turns(text: str, reason: str, tried_call: bool) -> None:
    action = parse(text)
    assert isinstance(action, Malformed)
    assert reason in action.reason
    assert action.tried_call == tried_call
    assert action.flaws == (action.reason,)


def test_a_call_without_thoughts_works_but_is_not_well_formed() -> None:
    action = parse(f"<tool_call>{CALL}</tool_call>")
    assert isinstance(action, ToolCall)
    assert action.flaws


@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
@example("<answer>\ud800</answer>")
def test_any_text_is_one_of_three_actions(text: str) -> None:
    action = parse(text)
    assert isinstance(action, Answer | ToolCall | Malformed)
    assert parse(text + "\n") == action
    if isinstance(action, Answer):
        assert text.count("<answer>") == text.count("</answer>") == 1
    if isinstance(action, ToolCall):
        json.dumps(dict(action.arguments))


@pytest.mark.parametrize("piece", ["a", "<", "<answer>", "<think></think>", "<|", "<|a", "{", " "])
def test_megabytes_of_anything(piece: str) -> None:
    text = piece * (2_000_000 // len(piece))
    assert isinstance(parse(text), Malformed)
    assert isinstance(parse(f"<think>{text}</think><answer>{text}</answer>"), Answer | Malformed)
