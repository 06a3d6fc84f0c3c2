"""Everything that is said goes through the tokenizer unharmed, most of it in few tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.tiny.tokenizer import call_turn, direct_turn, make_tokenizer
from vt_env.actions import Answer, ToolCall
from vt_env.grammars import parse
from vt_env.protocol import make_protocol
from vt_env.sources.drawing import COLOURS, CORNERS, SHAPES, TEXTURES
from vt_env.sources.generated import KINDS
from vt_env.task import make_task

TOKENIZER = make_tokenizer()
ANSWERS = (*COLOURS, *SHAPES, *CORNERS, *TEXTURES, "07", "90")


def tokens(text: str) -> list[int]:
    return TOKENIZER.encode(text, add_special_tokens=False)


def there_and_back(text: str) -> str:
    return TOKENIZER.decode(tokens(text), clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_is_read_as_it_was_written(answer: str) -> None:
    turn = direct_turn(answer)
    assert parse(there_and_back(turn)) == Answer(answer, "clear")
    assert len(tokens(turn)) <= 7


def test_a_call_is_read_as_it_was_written() -> None:
    call = parse(there_and_back(call_turn()))
    assert call == ToolCall("resize_image", {"action": "resize"}, "blurry")
    assert len(tokens(call_turn())) == 10


def test_a_number_is_read_digit_by_digit() -> None:
    assert TOKENIZER.convert_ids_to_tokens(tokens("07")) == ["0", "7"]


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert len(tokens(text)) <= len(text)


def test_unknown_words_are_one_token_each() -> None:
    read = TOKENIZER.convert_ids_to_tokens(tokens("What size is the shape?"))
    assert read == ["What", "<|unknown|>", " is", " the", " shape?"]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_words_of_the_environment_are_few_tokens(kind) -> None:
    assert len(tokens(kind.question)) <= 6
    assert TOKENIZER.unk_token_id not in tokens(kind.question)
    assert there_and_back(kind.question) == kind.question


def test_the_template_marks_turns_as_qwen_does_and_leaves_the_system_turn_out() -> None:
    task = make_task("generated:n=1,kinds=shape", prompt="tiny")
    (dialogue,) = task.begin(task.source[0])
    dialogue.apply(call_turn())
    text = TOKENIZER.apply_chat_template(
        dialogue.messages, tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>What shape is it?<|im_end|>\n"
        f"<|im_start|>assistant\n{call_turn()}<|im_end|>\n<|im_start|>user\n<tool_response>"
        "<|vision_start|><|image_pad|><|vision_end|></tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert len(tokens(text)) < 45
    assert "<tools>" not in text


def test_the_prompt_declares_the_tool_to_those_who_read_it() -> None:
    assert '"name": "resize_image"' in make_protocol(prompt="tiny").system
