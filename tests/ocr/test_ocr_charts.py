"""Charts from hand-written words: no engine runs."""

from __future__ import annotations

import numpy as np

from agents.ocr import Word, answer
from agents.ocr.bars import bars, mended


def word(text: str, x: float, y: float, confidence: float = 1.0) -> Word:
    """A word around a centre, 12 pixels high."""
    half = 4 * len(text)
    return Word(text, confidence, (x - half, y - 6, x + half, y + 6))


def lying(values: dict[str, str]) -> list[Word]:
    words = [word("Height of trees, 2007", 300, 10)]
    for place, (name, value) in enumerate(values.items()):
        y = 50 + 40 * place
        words += [Word(name, 1.0, (100 - 8 * len(name), y - 6, 100, y + 6)), word(value, 400, y)]
    ticks = [word(str(tick), 110 + 5 * tick, 50 + 40 * len(values)) for tick in (0, 20, 40, 60)]
    return [*words, *ticks, word("metres", 300, 90 + 40 * len(values))]


TREES = {"Oak": "31.2", "Scots Pine": "35.0", "Yew": "9.5", "Elm": "29.0"}
MONTHS = {"Jan": "173.3", "Feb": "92.3", "Mar": "183.0", "Apr": "68.1"}


def standing(values: dict[str, str]) -> list[Word]:
    words = [word("Rain in 2012 (mm)", 300, 10), word("150", 20, 100), word("0", 30, 350)]
    for place, (name, value) in enumerate(values.items()):
        x = 100 + 100 * place
        words += [word(name, x, 380), word(value, x, 300 - float(value))]
    return words


def test_value_of_a_named_bar() -> None:
    assert answer("What was the height of Scots Pine in 2007?", lying(TREES)).text == "35.0"
    assert answer("How much rain fell in Feb 2012?", standing(MONTHS)).text == "92.3"


def test_a_name_that_is_misread_by_a_letter_is_found_with_less_trust() -> None:
    exact = answer("What was the height of Scots Pine?", lying(TREES))
    misread = {name.replace("Pine", "Pime"): value for name, value in TREES.items()}
    close = answer("What was the height of Scots Pine?", lying(misread))
    assert close.text == exact.text
    assert close.confidence < exact.confidence


def test_highest_and_lowest() -> None:
    assert answer("Which tree has the highest value?", lying(TREES)).text == "Scots Pine"
    assert answer("Which tree has the lowest value?", lying(TREES)).text == "Yew"
    assert answer("Which month has the tallest bar?", standing(MONTHS)).text == "Mar"


def test_a_missing_number_costs_trust_in_the_highest() -> None:
    words = [w for w in lying(TREES) if w.text != "35.0"]
    found, share = bars(words)
    assert [bar.label.text for bar in found] == ["Oak", "Yew", "Elm"]
    assert share == 0.75
    assert answer("Which tree has the highest value?", words).confidence == 0.75


def test_a_number_of_another_format_costs_trust() -> None:
    words = lying(TREES | {"Elm": "2900"})
    assert answer("Which tree has the highest value?", words).text == "Scots Pine"
    assert bars(words)[1] == 0.75


def test_the_end_of_a_line_is_found_by_its_colour() -> None:
    image = np.full((400, 600, 3), 255, np.uint8)
    red, blue = (200, 20, 20), (20, 20, 200)
    image[48:52, 380:400] = red
    image[78:82, 380:400] = blue
    image[198:202, 500:518] = blue
    image[298:302, 500:518] = red
    words = [Word("Red Deer", 1.0, (410, 44, 474, 56)), Word("Blue Tit", 1.0, (410, 74, 474, 86)),
             Word("5,214", 1.0, (522, 194, 562, 206)), Word("2,933", 1.0, (522, 294, 562, 306)),
             word("2016", 540, 390)]  # fmt: skip
    question = "What value is printed at the end of the {} line?"
    assert answer(question.format("Red Deer"), words, image).text == "2,933"
    assert answer(question.format("Blue Tit"), words, image).text == "5,214"
    assert answer(question.format("Blue Tit"), words).text == "unknown"
    assert answer(question.format("Roe Buck"), words, image).text == "unknown"


def test_a_point_is_mended_to_a_comma_where_the_axis_reaches_thousands() -> None:
    values = {"Oak": "7.690", "Yew": "7,627", "Elm": "7.162"}
    words = [*lying(values), word("8000", 110, 20)]
    guess = answer("Which tree has the highest value?", words)
    assert (guess.text, guess.confidence) == ("Oak", 0.85)
    assert [w.text for w in mended(lying({"Oak": "7.690", "Yew": "7.1"}))].count("7,690") == 0
