"""Fields of forms and cells of tables from hand-written words: no engine runs."""

from __future__ import annotations

import pytest

from agents.ocr import Word, answer
from agents.ocr.fields import pieces


def word(text: str, x: float, y: float, confidence: float = 1.0, height: float = 15) -> Word:
    """A word from a left edge on, around a middle."""
    return Word(text, confidence, (x, y - height / 2, x + 8 * len(text), y + height / 2))


FORM = [
    word("BOOKING", 60, 10),
    word("DATE", 10, 60),
    word("04/02", 120, 78, height=10),
    word("GATE", 10, 103),
    word("2388", 140, 94),
    word("ROOM", 240, 62),
    word("31586", 330, 70),
    word("no refund", 240, 100, height=8),
]
TABLE = [
    *(word(head, 100 + 76 * place, 20) for place, head in enumerate(("MAY", "JUNE", "OCT"))),
    *(word(name, 10, 60 + 41 * place) for place, name in enumerate(("TEA", "RICE", "SALT"))),
    word("653", 95, 52),
    word("12", 180, 70),
    word("831", 130, 101),
    word("709", 262, 95),
]


def test_a_value_belongs_to_the_label_in_its_row_and_column() -> None:
    assert answer("What is the DATE?", FORM).text == "04/02"
    assert answer("Read the GATE.", FORM).text == "2388"
    assert answer("ROOM?", FORM).text == "31586"


def test_a_value_that_was_not_read_is_not_that_of_another_label() -> None:
    """At half size small print is often not found at all; its neighbour must not stand in."""
    for missing, name in (("04/02", "DATE"), ("2388", "GATE")):
        words = [w for w in FORM if w.text != missing]
        assert answer(f"What is the {name}?", words).confidence == 0


def test_a_name_like_the_one_that_is_asked_for_costs_trust() -> None:
    words = [w for w in FORM if w.text != "DATE"]
    assert answer("What is the DATE?", words).confidence <= 0.75


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is the number for TEA in MAY?", "653"),
        ("How much TEA is there in JUNE?", "12"),
        ("MAY: RICE?", "831"),
        ("OCT: RICE?", "709"),
    ],
)
def test_a_cell_is_where_a_row_and_a_column_meet(question: str, value: str) -> None:
    assert answer(question, TABLE).text == value


def test_an_empty_cell_and_an_unread_head_are_no_answer() -> None:
    assert answer("JUNE: RICE?", TABLE).confidence == 0
    assert answer("AUG: TEA?", TABLE).confidence == 0


def test_trust_is_that_of_the_word_read_worst() -> None:
    words = [word("DATE", 10, 60, 0.95), word("04/02", 120, 60, 0.8)]
    guess = answer("What is the DATE?", words)
    assert guess.confidence == 0.8
    assert guess.where is not None
    assert guess.where.left > 50, "only the doubtful word"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("TIP3.64", ["TIP", "3.64"]),
        ("Date: 04/02", ["Date", "04/02"]),
        ("653 699", ["653", "699"]),
        ("see the other side", ["see the other side"]),
        ("12 JALAN 4", ["12 JALAN 4"]),
        ("", []),
    ],
)
def test_a_run_is_cut_where_its_label_ends(text: str, parts: list[str]) -> None:
    cut = pieces(word(text, 10, 10))
    assert [piece.text for piece in cut] == parts
    edges = [edge for piece in cut for edge in (piece.box[0], piece.box[2])]
    assert edges == sorted(edges)
