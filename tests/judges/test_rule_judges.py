"""The judges for one kind of answer and the benchmarks' rules."""

from __future__ import annotations

import unicodedata

import pytest

from experiments.benchmarks.metrics import graphemes, similarity
from vt_env.errors import ConfigError
from vt_env.judges import Query, make_judge

CASES = {
    "exact": [
        ("Which?", "The Cat", "cat.", True),
        ("Which?", "cat", "“Cat”", True),
        ("Which?", "cat", "a dog", False),
        ("Which?", "cat", "c\u0430t", False),
    ],
    "numeric": [
        ("How many?", "1,234", "1234", True),
        ("How many?", "1.5 million", "1,500,000", True),
        ("How many?", "2.5", "2,5", True),
        ("How much?", "$5", "five dollars", True),
        ("How long?", "5 km", "5 miles", False),
        ("How many?", "1234", "1.234", False),
        ("How many?", "cat", "5", None),
    ],
    "numeric:0.1": [("How many?", "100", "109", True), ("How many?", "100", "111", False)],
    "relaxed:official": [
        ("Year?", "2019", "2010", True),
        ("Share?", "47", "47%", False),
        ("Value?", "100", "105", True),
        ("Value?", "100", "106", False),
        ("Value?", "0", "0", True),
        ("Which?", "Cat", "cat", True),
        ("Value?", "100", "nan", False),
    ],
    "relaxed": [
        ("Year?", "2019", "2010", False),
        ("Year?", "2019", "2019", True),
        ("Share?", "47", "47%", True),
        ("Share?", "47%", "49", True),
        ("Value?", "100", "The value is 104.", True),
        ("Value?", "100", "106", False),
        ("Value?", "10 km", "10.2 miles", False),
        ("Value?", "10 km", "10,200 m", True),
        ("Which?", "gray", "grey", True),
        ("In which year was it built?", "1987", "1990", False),
        ("How many people were surveyed?", "1500", "1510", True),
        ("What was the revenue in the year 2010?", "2100", "2150", True),
        ("What is the value of the tallest bar?", "1850", "1,900", True),
        ("When did it open?", "1905", "1906", False),
        ("What share agreed?", "0.47", "48%", True),
        ("What share agreed?", "0.47", "52%", False),
        ("What share agreed?", "0.47", "0.47%", False),
        ("What percentage agreed?", "47%", "0.48", True),
        ("What percentage agreed?", "0.5", "0.5%", True),
        ("How many inhabitants?", "1,000,000", "1.02 million", True),
        ("How many inhabitants?", "1.5 million", "1,520,000", True),
        ("How many inhabitants?", "1.5 million", "1,520", False),
        ("How much?", "$20", "$20.50", True),
        ("How much?", "$20", "€20.50", False),
        ("Value?", "100", "not 100", False),
        ("Value?", "100", "102 or 103", False),
    ],
    "yesno:official": [
        ("Is it?", "yes", "Yes.", True),
        ("Is it?", "yes", ":", True),
        ("Is it?", "no", "There is no dog", True),
        ("Is it?", "perhaps", "yes", None),
    ],
    "yesno": [
        ("Is it red?", "yes", "Yes.", True),
        ("Is it red?", "yes", ":", False),
        ("Is there a dog?", "no", "There is no dog.", True),
        ("Is it red?", "no", "Yes, no", False),
        ("Is it red?", "perhaps", "yes", None),
        ("Is there a dog?", "yes", "Yes, on the left.", True),
        ("Is there a dog? Please answer yes or no.", "yes", "**Yes**, it lies under a table", True),
        ("Is there a dog?", "yes", "Yes - two of them are playing", True),
        ("Is there a dog?", "no", "No, a cat sits there.", True),
        ("Is there a dog?", "no", "No, there isn't a dog there.", True),
        ("Is this dish vegetarian?", "no", "No, it contains no meat", False),
        ("Is there a dog?", "no", "No. The animal is a cat", True),
        ("Is the sign not readable?", "yes", "Yes, it is not readable", True),
        ("Is there a dog?", "no", "No, there is a dog.", False),
        ("Is there a dog?", "yes", "Yes, but there is no dog", False),
        ("Is there a dog? Please answer yes or no.", "yes", "Yes or no", False),
        ("Is there a dog?", "yes", "Yes? Perhaps", False),
        ("Is there a dog?", "yes", "Yes, maybe it is one", False),
        ("Is there a dog?", "yes", "Yes, it isn't here", False),
        ("Is there a dog?", "no", "No dog barks at the yes sign", False),
        ("Is it on?", "yes", "Yesterday it was", False),
    ],
    "yesno:word": [("Is it?", "yes", "YES ", True), ("Is it?", "yes", "Yes.", False)],
    "yesno:prefix": [
        ("Is it?", "yes", "Yes, it is", True),
        ("Is it?", "no", "N", True),
        ("Is it?", "no", "I know", False),
        ("Is it?", "yes", "", False),
    ],
    "realworldqa": [
        ("Which?", "B", "The answer is (B).", True),
        ("Which?", "A", "A dog", True),
        ("Which?", "B", "", False),
        ("Where?", "Downhill", "downhill.", True),
        ("How many?", "2", "two", False),
    ],
    "mmbench": [
        ("Which?", "B", "B. dog", True),
        ("Which?", "A", "a banana", False),
    ],
    "mmmu": [
        ("What?", "12.5", "So the result is 12.50", True),
        ("What?", "blue", "It is the blue one", True),
        ("What?", "a", "banana", False),
    ],
    "mathvista": [
        ("How many?", "14", "14.0", True),
        ("How many?", "14", "15", False),
        ("How many?", "14", "14 cm", None),
        ("a floating-point number with one decimal place", "1.4", "1.44", True),
    ],
    "mathvista:rules": [("How many?", "14", "14 cm", False)],
    "mcq": [
        ("Which? (A) dog (B) cat", "B", "(B)", True),
        ("Which? (A) dog (B) cat", "B", "The answer is B.", True),
        ("Which? (A) dog (B) cat", "B", "cat", True),
        ("Which? (A) dog (B) cat", "cat", "b", True),
        ("Which? (A) dog (B) cat", "B", "B. dog", False),
        ("Which? (A) dog (B) cat", "B", "A, B", False),
        ("Which? (A) dog (B) cat", "E", "E", None),
        ("Which?", "B", "Answer: (B)", True),
        ("Which?", "B", "A", False),
        ("Which?", "cat", "B", None),
    ],
    "substring:official": [
        ("Text?", "Stop", "go stop left", True),
        ("Text?", "Stop", "sto p", False),
    ],
    "substring": [
        ("What does it say?", "Stop", "It says \"STOP\"", True),
        ("What does it say?", "Stop", "go stop left", False),
    ],
    "math": [
        ("Expand.", "(x+1)^2", "x^2 + 2x + 1", True),
        ("Solve.", "\\frac{1}{2}", "0.5", True),
        ("Solve.", "[0, 1)", "(0, 1)", False),
        ("Solve.", "\\sqrt{2}", "1.41421356", False),
        ("Solve.", "AB", "BA", False),
    ],
}  # fmt: skip
ROWS = [(name, *row) for name, rows in CASES.items() for row in rows]


@pytest.mark.parametrize(("name", "question", "reference", "answer", "correct"), ROWS)
def test_cases(name, question, reference, answer, correct):
    judge = make_judge(name)
    verdict = judge.score([Query(question, (reference,), answer)])[0]
    assert verdict.correct is correct, verdict.reason
    assert verdict.judge == judge.name
    assert (verdict.score is None) is (correct is None)


@pytest.mark.parametrize(
    ("reference", "answer", "score"),
    [("hello", "Hello ", 1), ("hello", "hallo", 0.8), ("abc", "axx", 0), ("abcd", "abcdefghi", 0)],
)
@pytest.mark.parametrize("variant", ["official", "fixed"])
def test_anls_grades(variant, reference, answer, score):
    verdict = make_judge(f"anls:{variant}").score([Query("", ("zzzz", reference), answer)])[0]
    assert verdict.score == pytest.approx(score)
    assert verdict.correct is (score >= 0.5)


def test_mmbench_reads_options_and_a_missing_one_as_nan():
    def right(reference, answer):
        query = Query("Which?", (reference,), answer, "mcq", ("cat", "dog", "bird"))
        return make_judge("mmbench").score([query])[0].correct

    assert right("B", "The dog it is")
    assert not right("B", "a dog or a cat")
    assert right("D", "a banana")


def test_anls_variants_differ_at_one_half_and_in_what_is_long():
    half, spaced = Query("", ("ab",), "ac"), Query("", ("abcd",), "   abxy   ")
    assert make_judge("anls:official").score([half])[0].score == 0.5
    assert make_judge("anls:fixed").score([half])[0].score == 0
    assert make_judge("anls:official").score([spaced])[0].score == pytest.approx(0.8)
    assert make_judge("anls:fixed").score([spaced])[0].score == 0


def test_anls_counts_characters_as_they_are_seen():
    composed, decomposed = "Zürich", unicodedata.normalize("NFD", "Zürich")
    for reference, answer in ((composed, decomposed), (decomposed, composed)):
        assert make_judge("anls").score([Query("", (reference,), answer)])[0].score == 1
    assert graphemes("กำลัง") == ["ก", "ำ", "ลั", "ง"]
    assert similarity(graphemes("สวัสดี"), graphemes("สวัสดิ")) == pytest.approx(3 / 4)
    assert similarity(graphemes("كِتَاب"), graphemes("كِتَات")) == pytest.approx(3 / 4)
    near = make_judge("anls").score([Query("", ("สวัสดี สวัสดิ",), "สวัสดี สวัสดี")])[0]
    assert near.score == pytest.approx(8 / 9)


@pytest.mark.parametrize("missing", ["", " ", "nan"])
def test_mmbench_options_keep_their_letters(missing):
    choices = (missing, "dog", "None", "bird")
    for reference, answer in (("B", "the dog"), ("C", "None"), ("D", "It is the bird"), ("C", "C")):
        query = Query("Which?", (reference,), answer, "mcq", choices)
        assert make_judge("mmbench").score([query])[0].correct, (reference, answer)
        wrong = Query("Which?", ("A",), answer, "mcq", choices)
        assert not make_judge("mmbench").score([wrong])[0].correct


def test_anls_variants_differ_in_quotes_and_full_stop():
    query = Query("", ("on",), "“on”.")
    assert make_judge("anls:official").score([query])[0].correct is False
    assert make_judge("anls:fixed").score([query])[0].score == 1


def test_vqa_official_averages_over_sets_of_nine():
    query = Query("", ("cat",) * 3 + ("dog",) * 7, "The cat")
    verdict = make_judge("vqa:official").score([query])[0]
    assert verdict.score == pytest.approx((3 * 2 / 3 + 7 * 1) / 10)
    assert make_judge("vqa:official").score([Query("", ("cat",), "cat")])[0].correct is None


@pytest.mark.parametrize(
    ("references", "answer", "score"),
    [
        (("cat",) * 2 + ("dog",) * 8, "a cat.", 2 / 3),
        (("2",) * 10, "two", 1),
        (("dont know",) * 10, "don't know", 1),
        (("cat",), "cat", 1),
        (("cat", "dog", "cow", "hen"), "cat", 0.5),
        (("cat",), "dog", 0),
    ],
)
def test_vqa_fixed_grades(references, answer, score):
    verdict = make_judge("vqa").score([Query("", references, answer)])[0]
    assert verdict.score == pytest.approx(score)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("relaxt", "Did you mean 'relaxed'"),
        ("relaxed:loose", "fixed, official"),
        ("numeric:many", "tolerance"),
        ("numeric:1", "tolerance"),
        ("exact:x", "does not take these arguments: too many positional arguments"),
        ("math:2", "does not take these arguments"),
        ("auto:2", "does not take these arguments"),
    ],
)
def test_wrong_specs_say_what_is_wrong(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_judge(spec)
