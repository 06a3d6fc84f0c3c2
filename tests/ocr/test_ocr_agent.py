"""Which strategy a question gets, and when the agent asks; no engine runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.answerers import Answerer
from agents.base import Agent, Conversation
from agents.ocr import OcrAgent, OcrAnswerer, Word, answer
from vt_env.errors import ConfigError
from vt_env.pictures import View
from vt_env.samples import Sample

PAGE = [
    Word("the quick brown", 0.99, (0, 0, 100, 20)),
    Word("fox jumps, it", 0.98, (110, 1, 200, 21)),
    Word("seems.", 0.97, (0, 30, 60, 50)),
]


@pytest.mark.parametrize(
    ("phrase", "word"),
    [("quick brown", "fox"), ("the words FOX", "unknown"), ("jumps, it", "seems")],
)
def test_word_after_a_phrase(phrase: str, word: str) -> None:
    question = f'In the scanned text, which word comes directly after the words "{phrase}"?'
    assert answer(question, PAGE).text == word


@pytest.mark.parametrize(
    "question",
    [
        'Is this statement true of the image? "The total on the receipt is 4."',
        "Is there a receipt in the image?",
        "How many clocks are there in the image?",
    ],
)
def test_questions_about_what_is_depicted_get_a_prior(question: str) -> None:
    guess = answer(question, PAGE)
    assert guess.text in {"yes", "no", "1"}
    assert guess.confidence < 0.5
    assert not guess.sharper_helps


@pytest.mark.parametrize("question", ["", "?", "Why?", "What is the name of the bird?", "When '"])
def test_any_question_gets_some_answer(question: str) -> None:
    assert answer(question, PAGE).text
    assert answer(question, []).text


QUESTIONS = [
    "What is the total amount on this receipt?",
    "What is the date on this receipt?",
    "Which shop issued this receipt?",
    "What is the name of the company that issued this receipt?",
    "What value is printed at the end of the Red Deer line?",
    "Which month has the tallest bar?",
    "How much rain fell in Nov 2012?",
    'Which word comes after "Total"?',
]
TEXTS = st.sampled_from(
    [
        "Total",
        "Red Deer",
        "12.40",
        "1,204",
        "7.690",
        "Nov",
        "2012",
        "30/02/2012",
        "GmbH",
        "Date",
        "",
    ]
) | st.text(max_size=12)
EDGES = st.tuples(*[st.floats(0, 60)] * 4)
WORDS = st.builds(
    lambda text, trust, e: Word(text, trust, (min(e[:2]), min(e[2:]), max(e[:2]), max(e[2:]))),
    TEXTS,
    st.floats(0, 1),
    EDGES,
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=12), st.sampled_from(QUESTIONS))
def test_any_words_give_an_answer_and_a_confidence_between_0_and_1(
    words: list[Word], question: str
) -> None:
    guess = answer(question, words, np.zeros((60, 60, 3), np.uint8))
    assert guess.text.strip()
    assert 0 <= guess.confidence <= 1
    assert guess == answer(question, words, np.zeros((60, 60, 3), np.uint8))


class FakeReader:
    """Reads the same words from any picture, and counts."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.words, self.calls = words, 0

    def read(self, image: np.ndarray) -> list[Word]:
        self.calls += 1
        return list(self.words)


def conversation(question: str, *, can_request: bool = True, views: int = 1) -> Conversation:
    view = View(Image.new("RGB", (20, 20)), "original")
    sample = Sample("s", question, ("x",), np.zeros((20, 20, 3), np.uint8))
    rng = np.random.default_rng(0)
    return Conversation(question, [], [view] * views, views - 1, can_request, rng, sample)


def turn(agent: OcrAgent, words: Sequence[Word], told: Conversation) -> str:
    agent.answerer.reader = FakeReader(words)  # type: ignore[attr-defined]
    (reply,) = agent.act([told])
    return reply.text


NEXT = 'Which word comes after the words "quick brown"?'


def test_it_answers_what_it_trusts_and_asks_otherwise() -> None:
    assert "<answer>fox</answer>" in turn(OcrAgent(0.9), PAGE, conversation(NEXT))
    assert "resize_image" in turn(OcrAgent(0.99), PAGE, conversation(NEXT))
    assert "resize_image" in turn(OcrAgent(), [], conversation(NEXT))


def test_it_answers_the_best_it_has_when_it_cannot_ask_or_has_asked() -> None:
    for told in (conversation(NEXT, can_request=False), conversation(NEXT, views=2)):
        assert "<answer>unknown</answer>" in turn(OcrAgent(), [], told)


def test_it_neither_reads_nor_asks_where_reading_cannot_help() -> None:
    agent = OcrAgent(1.0)
    text = turn(agent, PAGE, conversation("Is there a bird in the image?"))
    assert "<answer>" in text
    assert agent.answerer.reader.calls == 0  # type: ignore[attr-defined]


def test_it_keeps_to_the_protocols() -> None:
    assert isinstance(OcrAgent(), Agent)
    assert isinstance(OcrAnswerer(), Answerer)


def test_a_threshold_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="threshold"):
        OcrAgent(threshold=1.5)
