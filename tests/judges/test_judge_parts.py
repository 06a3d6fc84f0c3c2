"""Prompt, hardening and reading: each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.judging import Ask, load_judge_prompt
from agents.judging.cache import key_of
from agents.judging.hardening import Shown, shown
from agents.judging.reading import probability, read_verdict
from agents.llm import Limits
from agents.llm.replies import retry_after
from agents.llm.retry import FailureWatch
from vt_env.errors import ConfigError
from vt_env.judges import Query

ASK = Ask("s", "u", "right", "wrong")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("right", True),
        (" Wrong.\n", False),
        ("<think>is it right? no</think>wrong", False),
        ("<thinking>a</thinking>\n<think>b</think>\nright", True),
        ("Score: 0 (criterion 1)", None),
        ("1", None),
        ("right.", True),
        ("right..", None),
        ("right!", None),
        ("not right", None),
        ("right wrong", None),
        ("r\u0456ght", None),
        ("<think>right", None),
        ("right<think>", None),
        ("", None),
        ("true", None),
    ],
)
def test_a_verdict_is_one_word_and_nothing_else(text, verdict):
    assert read_verdict(text, ASK) is verdict


around = st.sampled_from(["", " ", ".", "not ", "right", "wrong", "un", "ly", ": ", "/", "\n", "1"])


@given(st.text() | st.lists(around, min_size=1, max_size=4).map("".join))
def test_no_other_text_is_a_verdict(text):
    plain = text.strip().removesuffix(".").casefold()
    assume("think" not in plain and plain not in ("right", "wrong"))
    assert read_verdict(text, ASK) is None


def test_probability_is_that_of_the_two_words():
    assert probability({"right": -0.1, "wrong": -50.0}, ASK) == pytest.approx(1)
    assert probability({" Wr": 0.0, "": 0.0, "x": 0.0}, ASK) == 0
    assert probability({"right": float("-inf"), "perhaps": 0.0}, ASK) is None


def test_an_answer_is_put_in_once_and_fenced_with_a_word_it_cannot_know():
    prompt = load_judge_prompt()
    query = Query("Which $answer?", ("$mark {reference}",), "it is $references {answer} $$ #ab#")
    first, second = (prompt.ask(shown(query)).user for _ in range(2))
    assert "it is $references {answer} $$ #ab#" in first
    assert "Which $answer?" in first
    assert "$mark {reference}" in first
    assert first != second
    assert key_of("m", shown(query)) == key_of("m", shown(query))


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("a\u200bb\u202ec\x07", "abc"),
        ("<|im_end|>", "< |im_end| >"),
        ("</s><s>", "< /s>< s>"),
        ("[INST] x [/INST]", "[ INST] x [ /INST]"),
        ("<\uff5cend\uff5c>", "< \uff5cend\uff5c>"),
        ("<start_of_turn>user", "< start_of_turn>user"),
        ("1 < 2 and 3 > 2, [0, 4)", "1 < 2 and 3 > 2, [0, 4)"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_chat_marks_are_broken_and_what_cannot_be_seen_is_gone(given, seen):
    assert shown(Query(given, ("r",), "x")).question == seen
    assert "\n" not in shown(Query("q", (given,), "x")).references


@given(st.text(), st.text(min_size=1), st.text())
def test_no_text_makes_it_raise_or_leaves_a_mark(question, reference, answer):
    seen = shown(Query(question, (reference,), answer))
    prompt = load_judge_prompt().ask(seen)
    for text in (seen.question, seen.references, seen.answer):
        assert "<|" not in text
        assert "|>" not in text
        assert len(text) <= 5000
    assert len(key_of("m", seen)) == 20
    assert seen.answer in prompt.user


@given(st.lists(st.text(), min_size=4, max_size=4), st.lists(st.text(), min_size=4, max_size=4))
def test_keys_of_different_contents_differ(one, other):
    keys = [key_of(parts[0], Shown(*parts[1:])) for parts in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


def test_options_are_shown_with_their_letters():
    assert shown(Query("Which?", ("b",), "x", choices=("a", "b\nc"))).question == (
        "Which?\nOptions:\nA. a\nB. b c"
    )


GOOD = {
    "version": "2",
    "system": "Judge.",
    "user": "$question $references $answer $mark",
    "right": "yes",
    "wrong": "no",
}


def write(path: Path, **texts: str) -> Path:
    lines = [f'{name} = """{text}"""' for name, text in {**GOOD, **texts}.items() if text != "-"]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_prompt_of_ones_own(tmp_path: Path):
    prompt = load_judge_prompt(write(tmp_path / "mine.toml"))
    assert prompt.identity.startswith("2-")
    assert prompt.ask(Shown("q", "r", "a")).choices == ("yes", "no")
    other = load_judge_prompt(write(tmp_path / "other.toml", system="Judge!"))
    assert other.identity != prompt.identity


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"user": "$question $answer $mark"}, "expected the placeholders"),
        ({"user": "$question $references $answer $mark $more"}, "expected the placeholders"),
        ({"user": "$question $references $answer $mark $ 5"}, "literal dollar"),
        ({"system": "$question"}, "expected the placeholders"),
        ({"right": "no way"}, "words of letters"),
        ({"right": "nope"}, "begin differently"),
        ({"wrong": "-"}, "must have the texts"),
        ({"more": "x"}, "must have the texts"),
    ],
)
def test_a_prompt_that_cannot_work_is_refused(texts, message, tmp_path: Path):
    with pytest.raises(ConfigError, match=message):
        load_judge_prompt(write(tmp_path / "mine.toml", **texts))
    with pytest.raises(ConfigError, match="cannot read"):
        load_judge_prompt(tmp_path / "nowhere.toml")


def test_waits_grow_have_jitter_and_an_end():
    limits = Limits(backoff=1.0, longest_wait=8.0)
    for tries, most in ((1, 1), (2, 2), (4, 8), (40, 8)):
        waits = [limits.pause(tries, None) for _ in range(50)]
        assert all(0.5 * most <= wait <= 1.5 * most for wait in waits)  # type: ignore[operator]
        assert len(set(waits)) > 40
    assert limits.pause(1, 9.0) is None
    assert 7 <= limits.pause(1, 7.0) <= 7.3  # type: ignore[operator]


@pytest.mark.parametrize("field", ["concurrency", "timeout", "deadline", "tries", "backoff"])
def test_limits_out_of_range(field):
    with pytest.raises(ConfigError, match=field):
        Limits(**{field: 0})


def test_failures_stop_only_above_a_share_and_over_a_number():
    watch = FailureWatch(0.5, 10)
    assert not any(watch.note(True) for _ in range(9))
    assert watch.note(True) == "10 of its last 10"
    assert not any(watch.note(i % 2 == 1) for i in range(500))
    never = FailureWatch(1.0, 1)
    assert not any(never.note(True) for _ in range(500))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 2024 99999999999:00:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 0000 00:00:00 +9999"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers) == seconds
