"""The word lists of the rules: readable, and no two words made one unless they are synonyms."""

from __future__ import annotations

import pytest

from vt_env.judges.lexicon import (
    LANGUAGES,
    abbreviations,
    english,
    months,
    table,
    weekdays,
    words,
)
from vt_env.judges.phrases import key
from vt_env.judges.questions import read_question
from vt_env.judges.units import parse_unit

SYNONYMS = [
    {"television", "television set", "tv set"},
    {"united states of america", "united states"},
    {"airplane", "aeroplane"},
    {"mathematics", "maths"},
    {"european union", "europäische union"},
    {"united nations", "vereinte nationen"},
    {"naciones unidas", "nations unies"},
    {"unión europea", "union européenne"},
    {"telephone", "mobile phone", "cell phone", "cellphone"},
    {"turn off", "switch off"},
    {"turn on", "switch on"},
    {"trash can", "garbage can", "rubbish bin", "dustbin", "trash bin"},
    {"car park", "parking garage", "parking lot"},
    {"spectacles", "eyeglasses"},
]


def test_long_forms_of_one_short_form_are_synonyms():
    by_short: dict[str, set[str]] = {}
    for long, short in abbreviations().items():
        by_short.setdefault(short, set()).add(" ".join(long))
    assert [found for found in by_short.values() if len(found) > 1 and found not in SYNONYMS] == []


def test_no_two_words_of_the_lists_have_one_key():
    """Every word of the lists, alone and in a name, is another phrase than every other one."""
    listed = {w for long in abbreviations() for w in (" ".join(long),)}
    listed |= set(english("spellings").values()) | {
        "saint",
        "street",
        "doctor",
        "drive",
        "north",
        "n",
    }
    listed |= set(english("states").values())
    for pattern in ("{}", "the {} is"):
        found: dict[tuple[str, ...], set[str]] = {}
        for word in listed:
            found.setdefault(key(pattern.format(word)), set()).add(word)
        groups = [group for group in found.values() if len(group) > 1]
        allowed = [*SYNONYMS, {"north", "n"}]
        assert [group for group in groups if group not in allowed] == []


def test_a_form_stands_for_one_thing_of_a_topic():
    for name, entry in table("topics").items():
        for language in LANGUAGES:
            forms = [pair.partition("=")[0] for pair in entry.get(language, "").split()]
            assert len(forms) == len(set(forms)), (name, language)


@pytest.mark.parametrize("language", ["en", "de", "fr", "es"])
def test_calendar_names_mean_one_day_or_month(language):
    assert len(set(months(language).values())) == 12
    assert len(set(weekdays(language).values())) == 7
    both = {name for name in months(language) if name in weekdays(language)}
    assert both <= {"mar"}


def test_blocked_words_are_no_frame_words():
    for language in ("en", "de", "fr", "es"):
        blocked = words("deny", language) | words("offer", language)
        frame = words("articles", language) | words("copulas", language) | words("scene", language)
        assert blocked & frame <= {"n"}


def test_units_have_exact_factors_and_symbols_mean_little():
    lines = table("units")["units"].strip().splitlines()
    assert all(len(line.split("|")) == 4 for line in lines)
    symbols = [symbol for line in lines for symbol in line.split("|")[2].split()]
    assert len(symbols) == len(set(symbols))
    assert parse_unit("mW") != parse_unit("MW")


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("How many dogs are there?", "en"),
        ("Wie viele Hunde sind zu sehen?", "de"),
        ("Combien de chiens voit-on ?", "fr"),
        ("¿Cuántos perros hay?", "es"),
        ("图中有几只狗？", "zh"),
        ("犬は何匹いますか？", "ja"),
        ("", "en"),
        ("x", "en"),
    ],
)
def test_languages_are_told_apart(question, language):
    assert read_question(question).language == language
