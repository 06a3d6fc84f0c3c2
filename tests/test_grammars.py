"""Every grammar is total and linear, and reads what it writes."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vt_env import ConfigError, ToolCall
from vt_env.actions import Answer, Malformed
from vt_env.grammars import Grammar, opened_turn

GRAMMARS = {
    "tool_call": Grammar(),
    "all": Grammar(several="all", most=3),
    "last": Grammar(several="last"),
    "grounding": Grammar(mark="grounding", form="arguments", tool="grounding"),
    "line": Grammar(mark="GET_CROPS", form="line", tool="get_crops", plain=True),
    "opened": Grammar(opened=True),
    "opened plain": Grammar(opened=True, plain=True),
    "boxes": Grammar(box_marks=True),
    "plain boxes": Grammar(box_marks=True, plain=True),
}
CALL = '{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}'
PIECES = st.sampled_from(
    [
        "<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>", CALL,
        "<grounding>", "</grounding>", '{"bbox_2d": [0, 0, 1, 1]}', "GET_CROPS: ['1']\n",
        "GET_CROPS:", "\nGET_CROPS: [\"0\", '5']", "<|begin_of_box|>", "<|end_of_box|>",
        "<|im_end|>", "<|im_start|>", "<tool_response>", "47", "\n", " ", "[", "'", "\ud800",
    ]
)  # fmt: skip


@given(
    st.sampled_from(sorted(GRAMMARS)),
    st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)),
)
def test_any_text_is_one_of_three_actions(name: str, text: str) -> None:
    grammar = GRAMMARS[name]
    action = grammar.read(text)
    assert isinstance(action, Answer | ToolCall | Malformed)
    assert grammar.read(text + "\n") == action
    if isinstance(action, ToolCall):
        assert len(action.calls) <= (3 if name == "all" else 1)
        json.dumps([dict(call.arguments) for call in action.calls])


@pytest.mark.parametrize("name", GRAMMARS)
@pytest.mark.parametrize(
    "piece",
    ["a", "<tool_call>", "</tool_call>", "GET_CROPS:\n", "<think>", "<|begin_of_box|>", "\n",
     "<grounding></grounding>", f"<tool_call>{CALL}</tool_call>"],
)  # fmt: skip
def test_twice_the_text_takes_no_more_than_a_few_times_as_long(name: str, piece: str) -> None:
    grammar = GRAMMARS[name]

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        taken: list[float] = []
        for _ in range(3):
            begin = time.process_time()
            assert isinstance(grammar.read(text), Answer | ToolCall | Malformed)
            taken.append(time.process_time() - begin)
        return min(taken)

    assert seconds(800_000) < 40 * seconds(100_000) + 0.05  # squares would be 64 times


@pytest.mark.parametrize("name", GRAMMARS)
@given(thought=st.from_regex(r"[a-z ]{1,20}", fullmatch=True), number=st.integers(0, 999))
def test_what_is_written_is_read(name: str, thought: str, number: int) -> None:
    grammar, said = GRAMMARS[name], thought.strip()
    arguments: dict[str, object] = {"bbox_2d": [0, 0.5, 1, number]}
    if grammar.form == "line":
        arguments = {"items": [str(number), "5"]}
    call = ToolCall(grammar.tool or "zoom", arguments, said)
    if grammar.several == "all":
        call = ToolCall("zoom", arguments, said, also=(ToolCall("zoom", {"a": [number]}),))
    assert grammar.read(grammar.write(call)) == call
    answer = Answer(f"it is {number}", said)
    assert grammar.read(grammar.write(answer)) == answer


def two(between: str = "") -> str:
    return f"<think>a</think><tool_call>{CALL}</tool_call>{between}<tool_call>{CALL}</tool_call>"


@pytest.mark.parametrize(
    ("name", "text", "calls", "flaws"),
    [
        ("all", two(), 2, 0),
        ("all", two("\n"), 2, 0),
        ("all", two(" and "), 2, 1),
        ("all", two() + " so", 2, 1),
        ("last", two(), 1, 0),
        ("last", two().replace("[1", "[[", 1), 1, 0),
        ("opened", f"hm</think><tool_call>{CALL}</tool_call>", 1, 0),
        ("opened", f"<think>hm</think><tool_call>{CALL}</tool_call>", 1, 0),
        ("grounding", '<think>a</think><grounding>{"bbox_2d": [0]}</grounding>', 1, 0),
        ("line", "GET_CROPS: ['0', '5']", 1, 0),
        ("line", "<think>small</think>\n  GET_CROPS: ['0']\n", 1, 0),
        ("line", "GET_CROPS: ['0']\nThanks", 1, 1),
    ],
)
def test_calls(name: str, text: str, calls: int, flaws: int) -> None:
    action = GRAMMARS[name].read(text)
    assert isinstance(action, ToolCall)
    assert (len(action.calls), len(action.flaws)) == (calls, flaws)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("tool_call", two(), "exactly one <tool_call>"),
        ("all", two() + two(), "4 calls in one turn; at most 3"),
        ("all", two() + "<tool_call>", "as many <tool_call> as"),
        ("all", two().replace("</tool_call><tool_call>", "<tool_call></tool_call>"), "stands bef"),
        ("all", two().replace("[1", "[[", 1), "not valid JSON"),
        ("last", two() + "<answer>4</answer>", "an answer and a tool call"),
        ("grounding", "<grounding>[1]</grounding>", "expected an object"),
        ("grounding", '<grounding>{"a": 1e999}</grounding>', "too large"),
        ("line", "GET_CROPS: 5", "expected a list"),
        ("line", "GET_CROPS: ['0'", "not valid JSON"),
        ("line", "GET_CROPS: ['0']\nGET_CROPS: ['1']", "2 opening"),
    ],
)
def test_calls_that_cannot_be_read(name: str, text: str, why: str) -> None:
    action = GRAMMARS[name].read(text)
    assert isinstance(action, Malformed)
    assert action.tried_call
    assert why in action.reason


@pytest.mark.parametrize(
    ("name", "text", "answer", "thought"),
    [
        ("line", "A red bus.", "A red bus.", ""),
        ("line", "<think>hm</think> A red bus.", "A red bus.", "hm"),
        ("line", "<answer>bus</answer>", "bus", ""),
        ("opened", "hm</think><answer>bus</answer>", "bus", "hm"),
        ("opened plain", "hm</think> A red bus.", "A red bus.", "hm"),
        ("boxes", "<think>hm</think><|begin_of_box|>bus<|end_of_box|>", "bus", "hm"),
        (
            "boxes",
            "<think>hm</think><answer><|begin_of_box|>bus<|end_of_box|></answer>",
            "bus",
            "hm",
        ),
        ("plain boxes", "<think>hm</think><|begin_of_box|>bus<|end_of_box|>", "bus", "hm"),
    ],
)
def test_answers(name: str, text: str, answer: str, thought: str) -> None:
    assert GRAMMARS[name].read(text) == Answer(answer, thought)


@pytest.mark.parametrize("name", ["line", "plain boxes"])
def test_a_thought_that_does_not_end_is_no_answer(name: str) -> None:
    """A turn that is cut off in its thoughts would be judged by them."""
    for grammar, said in ((name, " <think>A red bus"), ("opened plain", "A red bus")):
        action = GRAMMARS[grammar].read(said)
        assert isinstance(action, Malformed)
        assert "all thought" in action.reason
        assert not action.tried_call


def test_what_a_template_opened_is_put_back_once() -> None:
    assert opened_turn("hm</think>") == opened_turn("<think>\nhm</think>") == "<think>\nhm</think>"
    assert opened_turn(" <think>hm") == " <think>hm"
    assert opened_turn(" \n") == " \n"


def test_other_grammars_marks_mean_nothing() -> None:
    text = "<think>a</think><answer>4</answer>"
    assert Grammar().read(text.replace("a<", "a<grounding><")) == Answer("4", "a<grounding>")
    boxed = Grammar().read("<answer><|begin_of_box|>4<|end_of_box|></answer>")
    assert isinstance(boxed, Malformed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "yaml"}, "Unknown grammar's form"),
        ({"several": "some"}, "Unknown grammar's several"),
        ({"mark": "think"}, "other than think"),
        ({"mark": "a b"}, "a grammar's mark"),
        ({"form": "line"}, "names a tool"),
        ({"tool": "zoom"}, "names a tool"),
        ({"most": 0}, "at least 1"),
    ],
)
def test_wrong_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Grammar(**settings)  # type: ignore[arg-type]
