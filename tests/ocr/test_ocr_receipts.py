"""Receipts from hand-written words: no engine runs."""

from __future__ import annotations

import pytest

from agents.ocr import Word, answer
from agents.ocr.receipts import amounts


def word(text: str, x: float, y: float, confidence: float = 1.0, height: float = 20) -> Word:
    return Word(text, confidence, (x, y, x + 10 * len(text), y + height))


MALAY = [
    word("PINE TREE (M) SDN BHD (12345-X)", 40, 10),
    word("12, JALAN HUTAN 4", 40, 40),
    word("TEL: 03-1234 5678", 40, 70),
    word("Date: 16-09-2017 4:29 PM", 20, 120),
    word("COFFEE", 20, 160),
    word("3.90", 300, 160),
    word("Sub Total", 150, 200),
    word("9.40", 300, 201),
    word("Rounding Adj", 150, 230),
    word("0.01", 300, 230),
    word("Total Incl. GST@6%", 100, 260),
    word("RM 9.41", 290, 262),
    word("CASH", 150, 290),
    word("20.00", 300, 290),
    word("CHANGE", 150, 320),
    word("10.59", 300, 320),
]

GERMAN = [
    word("Eichenhof GmbH & Co. KG", 50, 10),
    word("Waldweg 4", 50, 40),
    word("HONIG", 10, 100),
    word("4,50 A", 300, 100),
    word("ZWISCHENSUMME", 10, 130),
    word("4,50", 300, 130),
    word("SUMME EUR", 10, 160, confidence=0.9),
    word("8,99", 300, 161),
    word("7,00%", 10, 190),
    word("Datum Uhrzeit Bon", 10, 220),
    word("08.04.20 09:51 4711", 10, 245),
]


def test_total_is_beside_the_label_that_promises_most() -> None:
    assert answer("What is the total amount on this receipt?", MALAY).text == "9.41"
    assert answer("What is the total amount due on this receipt?", GERMAN).text == "8,99"


def test_a_total_is_trusted_no_more_than_its_words() -> None:
    assert answer("What is the total on this receipt?", GERMAN).confidence <= 0.9


def test_without_a_label_the_total_is_unknown_and_asking_may_help() -> None:
    guess = answer("What is the total on this receipt?", [word("9.41", 10, 10)])
    assert (guess.text, guess.confidence, guess.sharper_helps) == ("unknown", 0.0, True)


def test_dates_beside_and_below_their_label() -> None:
    assert answer("What is the date on this receipt?", MALAY).text == "16-09-2017"
    assert answer("What is the purchase date on this receipt?", GERMAN).text == "08.04.20"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("(06/12/2016)", "06/12/2016"),
        ("01-06-201818:21:09", "01-06-2018"),
        ("30 Mar 2018 18:17", "30 Mar 2018"),
        ("bought 2020-04-25", "2020-04-25"),
        ("45/13/2018", "unknown"),
        ("18301/102/T0305", "unknown"),
    ],
)
def test_forms_of_dates(text: str, date: str) -> None:
    assert answer("What is the date on this receipt?", [word(text, 0, 0)]).text == date


def test_the_company_is_named_without_its_number() -> None:
    question = "What is the name of the company that issued this receipt?"
    assert answer(question, MALAY).text == "PINE TREE (M) SDN BHD"


def test_a_shop_goes_by_the_first_word_of_its_legal_name() -> None:
    assert answer("Which shop issued this receipt?", GERMAN).text == "Eichenhof"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RM 9.00", ["9.00"]),
        ("RMI11.90", ["111.90"]),
        ("1.234,56", ["1.234,56"]),
        ("-1.73", ["-1.73"]),
        ("Nett Total: S8.20", ["8.20"]),
        ("7,00%", []),
        ("18.04.2020", []),
        ("03:16PM", []),
        ("1234567", []),
    ],
)
def test_amounts_as_printed(text: str, found: list[str]) -> None:
    assert amounts(text) == found
