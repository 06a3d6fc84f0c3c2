"""Whether an answer that no rule accepts has the form of an answer at all.

A judge that understands meaning should be asked about *a hound* where *dog* was expected, and never
about a text that talks to it, offers several answers, hides one in code, or only repeats the
question: whatever it replied, such a text must earn nothing. So this says what a plain answer may
look like, and every departure has a name. What the question or a reference has is never held
against an answer. Right answers in other forms are lost; the rules may have accepted them before.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from vt_env.judges.characters import without_accents
from vt_env.judges.polarity import side
from vt_env.judges.quantity import parse_quantity
from vt_env.judges.questions import Asked
from vt_env.judges.tables import (
    ALTERNATIVES,
    CARDINALS,
    FUNCTION_WORDS,
    NEGATIONS,
    REPORTING,
    UNPLAIN,
)

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")
_NAME = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"[0-9]+(?:[.,:/][0-9]+)*")
_SPAN = re.compile(r"[0-9]\s?-\s?[0-9]")
_SENTENCE = re.compile(r"(?<=[^\W\d_]{2}[.!?])\s+|(?<=[0-9)][.!?])\s+(?=\w)")
_MIXED = re.compile(r"[0-9][^\W\d_]|[^\W\d_][0-9]")
_CAPITAL_INSIDE = re.compile(r"[a-z][A-Z]")
_FRAME = re.compile(
    r"^(?:so |therefore |hence )?(?:the |my )?(?:final |correct |right )?"
    r"(?:answer|choice|option)(?: is|:)\s+",
    re.I,
)
"""What may announce an answer."""
_NAMED = re.compile(r"\b[a-zA-Z] ?= ?(?=-?[0-9])")
"""The name of a number: *x = 4*."""
_MARKS = frozenset(" .,'’-°/&")
_SUFFIXES = frozenset("st nd rd th am pm s".split())
_FORMULA = frozenset("=^_{}()+*/\\$√π .,-'")
_FUNCTIONS = frozenset("sqrt pi cdot sin cos tan log ln exp e i".split())
_CLAIMS_NOTHING = NEGATIONS | ALTERNATIVES | UNPLAIN["doubt"]
_SHORT = 15
"""Words that an answer to a short reference may have."""
_LONG = 8
"""Words from which on a reference is a description: others may say it in more ways."""
_UNBOUND = 5
"""Words in a row, without one that binds them, which are a list and no phrase."""


def not_plain(answer: str, references: Sequence[str], asked: Asked) -> str:
    """What an answer has that a plain one has not; empty for a plain one.

    Args:
        answer: The cleaned answer.
        references: The cleaned references.
        asked: The question.
    """
    known = _Known(references, asked)
    answer = _FRAME.sub("", answer)
    if known.formula:
        return _formula_problem(answer, known)
    answer = _NAMED.sub("", answer)
    words = _words(answer)
    return (
        _mark_problem(answer, known)
        or _letter_problem(answer, known)
        or _word_problem(answer, words, known)
        or _count_problem(answer, words, known)
        or ("only the question again" if _is_echo(words, known) else "")
    )


class _Known:
    """What the question and the references have."""

    def __init__(self, references: Sequence[str], asked: Asked) -> None:
        self.references = references
        self.written = "\n".join(references)
        self.text = f"{asked.text}\n{self.written}"
        self.marks = frozenset(self.written) | frozenset(asked.text) - frozenset('?!;:"')
        self.asked = frozenset(_words(asked.text))
        self.words = self.asked | frozenset(_words(self.written))
        self.asked_values = frozenset(_values(asked.text))
        self.values = max((len(_values(text)) for text in references), default=0)
        self.length = max((len(_words(text)) for text in references), default=0)
        self.long = self.length >= _LONG
        self.formula = any(mark in self.written for mark in "=^√\\_{")
        sides = {side(text) for text in references}
        self.sided, self.denied = bool(sides - {None}), False in sides


def _words(text: str) -> list[str]:
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def _values(text: str) -> list[str]:
    return _NUMBER.findall(text) + [w for w in _words(text) if w in CARDINALS and w != "one"]


def _mark_problem(answer: str, known: _Known) -> str:
    body = re.sub(r"(?<=[^\W\d_])[.!]$", "", answer)
    for place, char in enumerate(body):
        if char.isalnum() or char in _MARKS or char in known.marks or (known.long and char == ";"):
            continue
        before, after = (text.strip()[:1] for text in (body[:place][::-1], body[place + 1 :]))
        if (char == "%" and before.isdigit()) or (char in "$€£¥₹" and after.isdigit()):
            continue
        if char == ":" and before.isdigit() and after.isdigit():
            continue
        if char == '"' and body.count('"') == 2:
            continue
        return f"{char!r} in the answer"
    if known.long:
        return ""
    return "a range" if _SPAN.search(answer) and not _SPAN.search(known.text) else ""


def _letter_problem(answer: str, known: _Known) -> str:
    for char in set(answer) - known.marks:
        latin = unicodedata.name(char, "").startswith("LATIN") or char in "πμΩ"
        if char.isalpha() and not latin:
            return "another script than the question's and the references'"
    for word in _WORD.findall(answer):
        if word.lower() in known.words or without_accents(word).lower() in known.words:
            continue
        if _MIXED.search(word) and not _is_measure(word):
            return "letters and digits in one word"
        if _CAPITAL_INSIDE.search(word):
            return "a capital within a word"
    return ""


def _is_measure(word: str) -> bool:
    quantity = parse_quantity(word)
    return bool(quantity and quantity.units) or word.lower().lstrip("0123456789.,") in _SUFFIXES


def _word_problem(answer: str, words: Sequence[str], known: _Known) -> str:
    if len(words) == 1 and known.sided and words[0] not in known.words:
        return "one word that is not yes or no"
    one_no = known.denied and sum(word in NEGATIONS or word.endswith("n't") for word in words) == 1
    banned = _CLAIMS_NOTHING if known.long else _CLAIMS_NOTHING | UNPLAIN["loose"]
    for place, word in enumerate(words):
        if one_no and (word in ("no", "not") or word.endswith("n't")):
            continue
        if word in UNPLAIN["questions"] and word not in _words(known.written):
            return f"{word!r}: a question in the answer"
        if word in known.words:
            continue
        if word in UNPLAIN["talk"]:
            return f"{word!r}: talk about answers"
        if word in banned or word.endswith("n't"):
            return f"{word!r}: no plain claim"
        if word in UNPLAIN["bounds"] and known.values and not known.long:
            return f"{word!r} beside a number"
        measured = bool(place) and words[place - 1][-1].isdigit()
        initial = f"{word}." in answer.lower()
        if len(word) == 1 and word.isalpha() and word != "a" and not (measured or initial):
            return "a letter that stands for nothing"
    return ""


def _count_problem(answer: str, words: Sequence[str], known: _Known) -> str:
    given = [value for value in _values(answer) if value not in known.asked_values]
    if len(given) > max(1, known.values):
        return "several values"
    counts = Counter(word for word in words if len(word) > 1 and word not in FUNCTION_WORDS)
    if any(count > (2 if word in known.words else 1) for word, count in counts.items()):
        return "a word said again"
    if len(words) > max(_SHORT, 2 * known.length + 5):
        return "more words than an answer needs"
    unbound = answer.islower() and not set(words) & FUNCTION_WORDS and "," not in answer
    if unbound and len(words) >= max(_UNBOUND, known.length + 3):
        return "a row of words"
    sentences = max((len(_SENTENCE.split(text)) for text in known.references), default=1)
    if len(_SENTENCE.split(answer.strip())) > sentences + (known.length > _SHORT):
        return "more sentences than an answer needs"
    return ""


def _is_echo(words: Sequence[str], known: _Known) -> bool:
    """Whether nothing but the question is said, where that is no answer."""
    if known.sided or any(set(_words(text)) <= known.asked for text in known.references):
        return False
    empty = known.asked | FUNCTION_WORDS | REPORTING | UNPLAIN["vague"]
    return all(word in empty for word in words)


def _formula_problem(answer: str, known: _Known) -> str:
    """A formula may have the references' names, those of functions, and one equals sign."""
    for char in answer:
        if not (char.isalnum() or char in _FORMULA or char in known.written):
            return f"{char!r} in the answer"
    if answer.count("=") > max(1, *(text.count("=") for text in known.references)):
        return "several equations"
    left, _, right = answer.rpartition("=")
    if left and not _NAME.search(left):
        return "an equation of numbers"
    if re.search(r"\d", known.written) and not re.search(r"\d", right):
        return "no value"
    sides = "\n".join(text.rpartition("=")[2] for text in known.references)
    if set(_NAME.findall(right.lower())) - set(_NAME.findall(sides.lower())) - _FUNCTIONS:
        return "names that the references do not have"
    return ""
